using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Serialization;
using SpotServe.Tests.Serialization;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Fragments;

/// <summary>What planner and nodes tell each other in a cluster of 1,000 nodes, over sockets.</summary>
public sealed class ThousandNodesTests : TwoSystems
{
    private const int Nodes = 1_000;

    private static readonly string[] Names =
        [.. Enumerable.Range(0, Nodes).Select(i => $"10.20.{i / 250}.{i % 250}:5110#1f{i:x}")];

    private static readonly Layout Wide = LayoutAssembly.InOrder(
        new LayoutDegrees(125, 8, 1, 64), 32, [.. Names.Select(name => new DeviceId(name, 0))]);

    [Fact]
    public async Task Views_commands_and_answers_of_1_000_nodes_cross_two_systems()
    {
        var echo = await FarEchoAsync();
        var asker = Asker(echo);
        object[] messages = [View(echo), Connect(echo), Prepare(), Handover(echo), Holdings(), Caches()];

        foreach (var message in messages)
        {
            var answer = await asker.Ask<object>(message, Limit, Cancel);

            Assert.NotSame(message, answer);
            SameContent.Holds(message, answer, message.GetType().Name);
        }
    }

    /// <summary>While a thousand devices load, each report of each of them is told to every gateway.</summary>
    [Fact]
    public void Event_of_one_device_costs_its_own_bytes_and_not_those_of_1_000_nodes()
    {
        var serializer = new HyperionMessageSerializer((ExtendedActorSystem)Left);
        var view = View(Left.DeadLetters);
        var progress = view.Loading[17];
        var next = view with
        {
            Number = 1,
            Loading = view.Loading.Replace(progress, progress with { LoadedBytes = progress.LoadedBytes + 1 }),
        };

        var whole = serializer.Write(next, FragmentLimits.MessageBytesMax).Length;
        var change = serializer.Write(ViewDifference.Between(view, next)!, FragmentLimits.MessageBytesMax).Length;

        TestContext.Current.TestOutputHelper?.WriteLine($"{whole:N0} bytes before, {change:N0} now");
        Assert.InRange(whole, 200_000, int.MaxValue);
        Assert.InRange(change, 1, 1_000);
    }

    private static PlannerView View(IActorRef replica) => new(
        new Epoch(9), PlannerPhase.PreCopying, "getting ready", TestModels.Small, Wide, new Epoch(8),
        [.. Enumerable.Range(0, 125).Select(index => new ServingReplica(index, replica))],
        [.. Names.Select(name => new NodeInfo(
            name, name.Split('#')[0], [.. Enumerable.Range(0, 8).Select(i => new DeviceInfo(i, "H100", 80L << 30))]))],
        [.. Wide.Placement.Select(device => new DeviceProgress(
            device, Wide.PositionOf(device), 1L << 32, 1L << 34))])
    {
        Leaving = Names.ToImmutableDictionary(name => name, _ => DateTimeOffset.UnixEpoch),
    };

    /// <summary>A position among 1,000 is told of its replica's eight nodes, and of those that its pages come
    /// from.</summary>
    [Fact]
    public void Position_is_told_what_concerns_it_however_many_nodes_there_are()
    {
        var serializer = new HyperionMessageSerializer((ExtendedActorSystem)Left);

        var leader = Connect(Left.DeadLetters);
        var bytes = serializer.Write(leader, FragmentLimits.MessageBytesMax).Length;

        TestContext.Current.TestOutputHelper?.WriteLine($"{bytes:N0} bytes");
        Assert.InRange(bytes, 1, 8_000);
        Assert.Equal(Wide.PositionsOf(0), leader.Replica.PositionsOf(0));
        Assert.All(leader.Replica.PositionsOf(0), position =>
        {
            Assert.Equal(Wide.DeviceAt(position), leader.Replica.DeviceAt(position));
            Assert.Equal(Wide.LayersOf(position), leader.Replica.LayersOf(position));
            Assert.Contains(Wide.DeviceAt(position).Node, leader.Endpoints);
            Assert.Contains(Wide.DeviceAt(position).Node, leader.Nodes);
        });
        Assert.Equal([0, 7], leader.Origin!.Expects);
        Assert.All(Wide.PositionsOf(7), position =>
        {
            Assert.Equal(Wide.DeviceAt(position), leader.Origin.At(7).DeviceAt(position));
            Assert.Contains(Wide.DeviceAt(position).Node, leader.Endpoints);
        });
    }

    /// <summary>As the planner's shell makes it from the core's effect.</summary>
    private static ConnectPosition Connect(IActorRef node) => PlannerMessages.Message(new PlannerEffect.Connect(
        new ActorAddress(node), new Epoch(9), new DeviceId(Names[0], 0), Wide,
        Names.ToImmutableDictionary(name => name, name => name), 131_072,
        Names.ToImmutableSortedDictionary(name => name, IAddress (_) => new ActorAddress(node)),
        new PageOrigin(
            new Epoch(8), Wide, [.. Enumerable.Range(0, 125)],
            [[0, 7], .. Enumerable.Range(1, 124).Select(index => ImmutableArray.Create(index))], Wide.Placement),
        Term: 3));

    private static PreparePosition Prepare() => new(
        new Epoch(9), new DeviceId(Names[0], 0),
        new PreparationOrder(
            new StageAssignment(
                new Epoch(9), new Position(0, 0, 0), new LayerRange(0, 4), 8, 1, 8_192, 512, 64), [], new Epoch(8)),
        Names.ToImmutableDictionary(name => name, name => name));

    /// <summary>A home with half of 500,000 pages set aside, and a queue of requests.</summary>
    private static HandoverProtocol.BeginHandover Handover(IActorRef leader) => new(
        new Epoch(8), new Epoch(9),
        [
            new HandoverProtocol.HandoverTarget(
                0, leader, [.. Enumerable.Range(0, 4_096).Select(i => new RequestId($"cmpl-{i:x32}"))], true, 500_000,
                250_000),
        ]);

    private static HandoverProtocol.HandoverOpened Holdings() =>
        new(new Epoch(9), 0, IsHome: true, [.. Enumerable.Range(250_000, 250_000)]);

    private static ReplicaControlProtocol.ReplicaCacheReport Caches() => new(
        new Epoch(8), 0,
        [
            .. Enumerable.Range(0, 4_096)
                .Select(i => new CachedRequest(new RequestId($"cmpl-{i:x32}"), 100_000, 90_000)),
        ]);
}
