using System.Collections.Immutable;
using System.Reflection;
using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class SendersTests
{
    private static readonly Address Node = new("akka.tcp", "spotserve", "10.0.0.5", 4000);
    private static readonly Address Neighbour = new("akka.tcp", "spotserve", "10.0.0.5", 400);
    private static readonly Address Control = new("akka.tcp", "spotserve", "10.0.0.1", 5110);
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
        new PlannerView(
            new Epoch(9), PlannerPhase.Serving, "", null, null, new Epoch(9), [], [],
            ImmutableArray<DeviceProgress>.Empty) { Term = long.MaxValue },
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
        Assert.Null(Objection(message, Control));
        Assert.NotNull(Objection(message, Node));
        Assert.NotNull(Objection(message, null));
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

    private static string? Objection(object message, Address? sender) =>
        Senders.Objection(message, sender, address => address == Control);

    /// <summary>A record of which only the device is set.</summary>
    private static object Bare(Type type, DeviceId device)
    {
        var message = System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(type);
        type.GetField("<Device>k__BackingField", BindingFlags.Instance | BindingFlags.NonPublic)
            ?.SetValue(message, device);
        return message;
    }
}
