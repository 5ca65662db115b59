using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>Nodes that the planner reaches and that do not reach each other.</summary>
public sealed class SeparationTests : PlannerTestKit
{
    private static readonly LayoutDegrees ThreeStages = new(1, 3, 1, 8);
    private static readonly DateTimeOffset Noon = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Fact]
    public void Two_nodes_that_fail_to_connect_a_second_time_are_not_used_together_and_then_tried_again()
    {
        var options = new PlannerOptions { Limits = new() { Apart = TimeSpan.FromSeconds(20) } };
        var planner = Planner(devices: 3, ThreeStages, options);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        var (first, _) = Serve(planner, nodes);

        planner.Tell(new DeviceFailed(first, nodes[0].Device, "no heartbeat", "c:1#1", IsSilent: true));
        var second = Prepare(planner, nodes);
        planner.Tell(new DeviceConnected(second, nodes[1].Device));
        Alive(planner, nodes, options.Limits.DoubtedConnectMax);
        var third = Prepare(planner, nodes[..2]);
        Connect(planner, nodes[..2], third);
        foreach (var node in nodes) planner.Tell(new PositionReleased(first, node.Device));
        var apart = Published(planner, PlannerPhase.Serving);

        Assert.Equal(new LayoutDegrees(1, 2, 1, 8), apart.Layout!.Degrees);
        Assert.DoesNotContain(apart.Layout.Placement, device => device.Node == "c:1#1");
        Alive(planner, nodes, options.Limits.Apart);
        Alive(planner, nodes, options.Limits.Coalesce);
        Assert.Equal(PlannerPhase.Planning, Published(planner, PlannerPhase.Planning).Phase);
    }

    [Fact]
    public void Node_that_reports_is_not_lost_because_another_member_cannot_reach_it()
    {
        var planner = Planner(devices: 3, ThreeStages);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        Serve(planner, nodes);

        planner.Tell(new MemberUnreachable("c:1"));
        Assert.Equal(3, View(planner).Nodes.Length);
        Clock.Advance(TimeSpan.FromSeconds(3));
        planner.Tell(new MemberUnreachable("c:1"));

        Assert.Equal(2, View(planner).Nodes.Length);
    }

    [Fact]
    public void First_report_is_a_doubt_and_each_later_one_doubles_the_time_apart()
    {
        var limits = new PlannerLimits
        {
            Apart = TimeSpan.FromSeconds(20),
            ApartMax = TimeSpan.FromSeconds(60),
            Doubt = Minute,
        };
        var separations = Separations.None;

        Assert.Null(Report("a", "b", 1, Noon));
        Assert.Null(Report("b", "a", 1, Noon));   // the same, told by the other
        Assert.True(separations.IsDoubted("b", "a", Noon));
        Assert.Equal(TimeSpan.FromSeconds(20), Report("a", "b", 2, Noon));
        Assert.Equal(TimeSpan.FromSeconds(40), Report("a", "b", 3, Noon));
        Assert.Equal(TimeSpan.FromSeconds(60), Report("a", "b", 4, Noon));
        Assert.Null(Report("a", "b", 5, Noon + (3 * Minute)));   // long ago

        TimeSpan? Report(string one, string other, long epoch, DateTimeOffset at)
        {
            (separations, var apart) = separations.Report(limits, one, other, new Epoch(epoch), at);
            return apart;
        }
    }

    [Fact]
    public void Node_that_most_others_cannot_reach_is_left_out_and_else_one_that_does_not_serve()
    {
        var limits = new PlannerLimits { Apart = Minute, ApartMax = Minute, Doubt = Minute };
        var separations = Separations.None;
        Separate("a", "b");
        Assert.Equal(["b"], separations.LeftOut(["a", "b", "c"], _ => true, Noon));
        Assert.Equal(["a"], separations.LeftOut(["a", "b", "c"], node => node != "a", Noon));

        Separate("a", "c");
        Assert.Equal(["a"], separations.LeftOut(["a", "b", "c"], _ => true, Noon));
        Assert.Empty(separations.LeftOut(["b", "c"], _ => true, Noon));
        Assert.Empty(separations.LeftOut(["a", "b", "c"], _ => true, Noon + Minute));

        void Separate(string one, string other)
        {
            separations = separations.Report(limits, one, other, new Epoch(1), Noon).Next;
            separations = separations.Report(limits, one, other, new Epoch(2), Noon).Next;
        }
    }

    /// <summary>Lets time pass in which the nodes go on to report.</summary>
    private void Alive(IActorRef planner, ScriptedNode[] nodes, TimeSpan time)
    {
        View(planner);
        Clock.Advance(time);
        foreach (var node in nodes) Register(planner, node);
        Tick(planner);
    }
}
