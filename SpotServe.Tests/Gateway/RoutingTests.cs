using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Tests.Gateway;

/// <summary>Which replica a request is sent to when the layout changes.</summary>
public sealed class RoutingTests : PatientTestKit
{
    private const int ReplicasMax = 4;
    private readonly ManualClock _clock = new();
    private readonly TestProbe _entity;
    private readonly TestProbe[] _replicas;
    private readonly IActorRef _gateway;

    public RoutingTests()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _entity = CreateTestProbe();
        _replicas = [.. Enumerable.Range(0, 2 * ReplicasMax).Select(i => CreateTestProbe($"replica-{i}"))];
        var (planner, requests) = (CreateTestProbe().Ref, CreateTestProbe().Ref);
        _gateway = Sys.ActorOf(Props.Create(() => new GatewayActor(
            new GatewayOptions(), _clock, new ClusterBoard(), planner, () => requests)));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    [InlineData(2, 4)]
    public void Open_requests_are_spread_evenly_over_the_replicas_of_the_next_epoch(int before, int after)
    {
        const int Requests = 8;
        Show(1, before);
        for (var i = 0; i < Requests; i++)
        {
            _gateway.Tell(new Route(new RequestId($"r{i}"), Epoch.None), _entity);
            _entity.ExpectMsg<Routed>(cancellationToken: Cancel);
        }

        Show(2, after);

        var routed = Enumerable.Range(0, Requests)
            .Select(_ => _entity.ExpectMsg<Routed>(cancellationToken: Cancel)).ToArray();
        Assert.All(routed, route => Assert.Equal(new Epoch(2), route.Epoch));
        Assert.Equal(Requests, routed.Select(route => route.Id).Distinct().Count());
        Assert.All(routed.GroupBy(route => route.Replica), there => Assert.Equal(Requests / after, there.Count()));
    }

    [Fact]
    public void What_a_replica_says_goes_to_each_request_s_entity_in_order_and_in_the_replica_s_name()
    {
        Show(1, 1);
        var other = CreateTestProbe();
        _gateway.Tell(new Route(new RequestId("a"), Epoch.None), _entity);
        _gateway.Tell(new Route(new RequestId("b"), Epoch.None), other);
        _entity.ExpectMsg<Routed>(cancellationToken: Cancel);
        other.ExpectMsg<Routed>(cancellationToken: Cancel);
        ReplicaProtocol.TokensGenerated[] drawn =
        [
            new(new Epoch(1), new RequestId("a"), 0, [7], null),
            new(new Epoch(1), new RequestId("gone"), 0, [8], null),
            new(new Epoch(1), new RequestId("b"), 3, [9], FinishReason.Stop),
        ];

        _gateway.Tell(new ReplicaProtocol.StepDrew(new Epoch(1), [.. drawn]), _replicas[0]);
        _gateway.Tell(new ReplicaProtocol.Rejected(new Epoch(1), new RequestId("a"), "lost"), _replicas[0]);

        Assert.Same(drawn[0], _entity.ExpectMsg<ReplicaProtocol.TokensGenerated>(cancellationToken: Cancel));
        Assert.Equal(_replicas[0].Ref, _entity.LastSender);
        _entity.ExpectMsg<ReplicaProtocol.Rejected>(cancellationToken: Cancel);
        Assert.Same(drawn[2], other.ExpectMsg<ReplicaProtocol.TokensGenerated>(cancellationToken: Cancel));
        Assert.False(_entity.HasMessages || other.HasMessages);
    }

    [Fact]
    public void Requests_of_a_lost_replica_go_to_the_others_and_theirs_stay()
    {
        Show(1, 2);
        var before = Enumerable.Range(0, 4).Select(i =>
        {
            _gateway.Tell(new Route(new RequestId($"r{i}"), Epoch.None), _entity);
            return _entity.ExpectMsg<Routed>(cancellationToken: Cancel);
        }).ToArray();

        Show(1, 1);

        Assert.Equal(2, before.Count(route => route.Replica.Equals(_replicas[1].Ref)));
        for (var i = 0; i < 4; i++)
            Assert.Equal(_replicas[0].Ref, _entity.ExpectMsg<Routed>(cancellationToken: Cancel).Replica);
    }

    [Fact]
    public void Prompt_goes_where_one_that_begins_alike_went_while_the_queue_there_is_not_much_longer()
    {
        Show(1, 3);
        // Three busy the replicas alike, so that chance does not decide.
        var first = Enumerable.Range(0, 3).Select(i => RouteOf($"other{i}", ownToken: i, common: 0)).ToArray();
        var holder = RouteOf("r0", ownToken: 10, common: 256);

        var next = Enumerable.Range(1, 5).Select(i => RouteOf($"r{i}", 10 + i, common: 200)).ToArray();

        Assert.Equal(3, first.Distinct().Count());
        // It may be four ahead of the least busy one, which has one.
        Assert.Equal([holder, holder, holder, holder], next[..4]);
        Assert.NotEqual(holder, next[4]);
    }

    [Fact]
    public void Prompts_that_have_less_in_common_than_a_part_are_spread()
    {
        Show(1, 2);

        var replicas = Enumerable.Range(0, 4).Select(i => RouteOf($"r{i}", i, common: 100)).ToArray();

        Assert.All(replicas.GroupBy(replica => replica), there => Assert.Equal(2, there.Count()));
    }

    private IActorRef RouteOf(string id, int ownToken, int common)
    {
        var prompt = Enumerable.Range(0, 300).Select(i => i < common ? i : 1_000 + ownToken);
        _gateway.Tell(new Route(new RequestId(id), Epoch.None) { Prompt = [.. prompt] }, _entity);
        return _entity.ExpectMsg<Routed>(cancellationToken: Cancel).Replica;
    }

    /// <summary>Only there are its KV pages: even a fairer share is not worth computing them anew.</summary>
    [Fact]
    public void Request_stays_with_its_replica_when_others_are_lost_or_join()
    {
        Show(1, 3);
        var before = Enumerable.Range(0, 7).Select(i =>
        {
            _gateway.Tell(new Route(new RequestId($"r{i}"), Epoch.None), _entity);
            return _entity.ExpectMsg<Routed>(cancellationToken: Cancel);
        }).ToDictionary(route => route.Id, route => route.Replica);

        Show(1, 2);
        var after = Told(before.Count);
        Show(1, 4);
        var then = Told(before.Count);

        var (lost, stay) = (_replicas[2].Ref, before.Where(route => !route.Value.Equals(_replicas[2].Ref)).ToArray());
        Assert.Equal(2, before.Values.Count(replica => replica.Equals(lost)));
        Assert.All(stay, route => Assert.Equal(route.Value, after[route.Key]));
        Assert.DoesNotContain(lost, after.Values);
        Assert.Equal(after, then);
    }

    private Dictionary<RequestId, IActorRef> Told(int count) => Enumerable.Range(0, count)
        .Select(_ => _entity.ExpectMsg<Routed>(cancellationToken: Cancel))
        .ToDictionary(route => route.Id, route => route.Replica);

    private void Show(long epoch, int replicas) => _gateway.Tell(new ClusterProtocol.PlannerView(
        new Epoch(epoch),
        PlannerPhase.Serving,
        "detail",
        TestModels.Small,
        LayoutAssembly.InOrder(new LayoutDegrees(1, 1, 1, 8), TestModels.Small.LayerCount, [new DeviceId("a", 0)]),
        new Epoch(epoch),
        // Every epoch has actors of its own.
        [
            .. _replicas.Skip((int)(epoch - 1) * ReplicasMax).Take(replicas)
                .Select((replica, index) => new ServingReplica(index, replica.Ref)),
        ],
        [],
        []));
}
