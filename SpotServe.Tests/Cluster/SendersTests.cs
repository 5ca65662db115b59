using System.Collections.Immutable;
using System.Reflection;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using SpotServe.Tests.Fragments;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class SendersTests
{
    private static readonly Address Node = new("akka.tcp", "spotserve", "10.0.0.5", 4000);
    private static readonly Address Neighbour = new("akka.tcp", "spotserve", "10.0.0.5", 400);
    private static readonly Address Control = new("akka.tcp", "spotserve", "10.0.0.1", 5110);
    private const string Planner = "user/planner/planner/planner";
    private static readonly DeviceId Device = new("10.0.0.5:4000#1f", 0);

    public static TheoryData<object> OfNode =>
    [
        new NodeHoldings(1, Device.Node, []),
        new NodeNotice(Device.Node, default, "file"),
        new DevicePrepared(new Epoch(1), Device, 1),
        new DeviceConnected(new Epoch(1), Device),
        new DeviceFailed(new Epoch(1), Device, "boo", null),
        new PositionReleased(new Epoch(1), Device),
    ];

    public static TheoryData<object> OfPlanner =>
    [
        new NodeReleased(Device.Node),
        new NodeRefused("no"),
        new PreemptNode(Device.Node, TimeSpan.Zero, "admin"),
        new GetHoldings(1) { Term = long.MaxValue },
        new ReleasePosition(new Epoch(1), Device, Trim: true) { Term = long.MaxValue },
        View(long.MaxValue),
    ];

    public static TheoryData<object> OfControl =>
    [
        new RegisterGateway(ActorRefs.Nobody),
        new GatewayLoad(ActorRefs.Nobody, new GatewayDemand(1, 1, 1, 0)),
        new ChangeLayout(null),
        new ChangeObjective(null),
        new GetTimeline(),
    ];

    [Theory]
    [MemberData(nameof(OfNode))]
    public void What_is_said_of_a_node_is_taken_from_its_own_process_only(object message)
    {
        Assert.Null(Objection(message, Node));
        Assert.NotNull(Objection(message, Neighbour));
        Assert.NotNull(Objection(message, Control));
        Assert.NotNull(Objection(message, null));
        Assert.Null(Objection(message, new Address("akka", "spotserve")));   // of this process
    }

    [Theory]
    [MemberData(nameof(OfPlanner))]
    public void What_a_planner_says_is_taken_from_control_members_only(object message)
    {
        Assert.Null(Objection(message, Control, Planner));
        Assert.NotNull(Objection(message, Node, Planner));
        Assert.NotNull(Objection(message, null));
    }

    [Theory]
    [MemberData(nameof(OfPlanner))]
    public void What_a_planner_says_is_taken_from_the_planners_path_only(object message)
    {
        if (message is PreemptNode) return;   // an operator says it through a gateway, the planner passes it on
        Assert.NotNull(Objection(message, Control, "user/gateway"));
        Assert.NotNull(Objection(message, Control, "user/planner/planner"));
        Assert.NotNull(Objection(message, Control, "user/planner/planner/planner/child"));
    }

    [Theory]
    [MemberData(nameof(OfControl))]
    public void What_a_gateway_says_is_taken_from_control_members_only(object message)
    {
        Assert.Null(Objection(message, Control, "user/gateway"));
        Assert.NotNull(Objection(message, Node, "user/gateway"));
        Assert.NotNull(Objection(message, null));
    }

    [Fact]
    public void Term_belongs_to_the_actor_that_named_it_first_and_a_higher_one_to_the_next()
    {
        var incarnation = new PlannerIncarnation();
        var first = Actor(1);
        var stranger = Actor(2);
        Assert.Null(incarnation.Objection(View(3), first));

        Assert.NotNull(incarnation.Objection(View(3), stranger));
        Assert.NotNull(incarnation.Objection(new GetHoldings(1) { Term = 3 }, stranger));
        Assert.Null(incarnation.Objection(new GetHoldings(1) { Term = 3 }, first));
        Assert.Null(incarnation.Objection(View(4), stranger));
        Assert.NotNull(incarnation.Objection(View(4), first));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(7, false)]
    public void Words_of_a_replica_are_those_of_its_leaders_node(int replica, bool isTaken)
    {
        var layout = new Layout(
            new LayoutDegrees(2, 1, 1, 8), Layout.EvenStages(4, 2, 1), [Device, new DeviceId("10.0.0.6:4000#2a", 0)]);
        var state = new PlannerState
        {
            Journal = JournalState.Empty,
            Phase = new Gathering(default),
            StatusLine = "",
            Active = new ActiveEpoch(
                new ServingEpoch(new Epoch(5), layout, [8, 8]), ImmutableSortedDictionary<int, IAddress>.Empty,
                ImmutableSortedDictionary<int, LoadReport>.Empty),
        };
        foreach (var message in WordsOfReplica(new Epoch(5), replica))
            Assert.Equal(isTaken, Senders.IsOf(ReplicaWords.NodeOf(state, message)!, Node));
        foreach (var message in WordsOfReplica(new Epoch(4), replica))
            Assert.Null(ReplicaWords.NodeOf(state, message));   // changes nothing, whoever says it
    }

    /// <summary>A new message that names its device or has a term is not forgotten.</summary>
    [Fact]
    public void Every_report_of_a_device_and_every_command_with_a_term_has_a_rule()
    {
        var records = typeof(ClusterProtocol).GetNestedTypes().Where(type => !type.IsInterface).ToArray();
        var reports = records.Where(type => type.GetProperty("Device") is not null
            && !type.IsAssignableTo(typeof(IDeviceCommand))
            && type != typeof(DevicePagesCopied) && type != typeof(DevicePagesLost));   // to the replica's leader
        foreach (var report in reports) Assert.NotNull(Senders.SpeaksFor(Bare(report, Device)));
        foreach (var command in records.Where(type => type.GetProperty("Term") is not null))
            Assert.True(Senders.IsPlanners(Bare(command, Device)), command.Name);
    }

    private static object[] WordsOfReplica(Epoch epoch, int replica) =>
    [
        new ReplicaStarted(epoch, replica, ActorRefs.Nobody),
        new ReplicaControlProtocol.Drained(epoch, replica),
        new ReplicaControlProtocol.ReplicaLoad(epoch, replica, 0, 0, 1, 1, 1, 0, 0, 0),
        new ReplicaControlProtocol.ReplicaLost(epoch, replica, "gone"),
        new ReplicaControlProtocol.ReplicaCacheReport(epoch, replica, []),
        new HandoverProtocol.HandoverReady(epoch, replica, epoch),
        new HandoverProtocol.ReplicaServes(epoch, replica, 0, 0, 0, 0),
    ];

    private static PlannerView View(long term) => new(
        new Epoch(9), PlannerPhase.Serving, "", null, null, new Epoch(9), [], [],
        ImmutableArray<DeviceProgress>.Empty)
    { Term = term };

    private static NamedRef Actor(int number) => new($"planner-{number}");

    private static string? Objection(object message, Address? sender, string path = "user/node") => Senders.Objection(
        message,
        sender is null ? null : new RootActorPath(sender) / path.Split('/'),
        new SenderRoles(address => address == Control, address => address == Node || address == Neighbour));

    /// <summary>A record of which only the device is set.</summary>
    private static object Bare(Type type, DeviceId device)
    {
        var message = System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(type);
        type.GetField("<Device>k__BackingField", BindingFlags.Instance | BindingFlags.NonPublic)
            ?.SetValue(message, device);
        return message;
    }
}
