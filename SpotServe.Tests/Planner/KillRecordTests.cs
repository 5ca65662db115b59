using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using SpotServe.Tests.Cluster;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Planner;

/// <summary>The timeline's line of a kill says who went, how that was noticed, and what was computed again.</summary>
public sealed class KillRecordTests : PlannerTestKit
{
    private static readonly LayoutDegrees TwoStages = new(1, 2, 1, 8);

    [Fact]
    public void Kill_is_told_with_the_node_its_sign_and_the_requests_that_went_on()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (old, _) = Serve(planner, nodes);

        var epoch = Kill(planner, nodes, old);
        Assert.Null(Last(planner).Resumed);
        Clock.Advance(TimeSpan.FromSeconds(0.6));
        Report(planner, epoch, old, resumed: 3, tokens: 700, waiting: 1);
        Report(planner, epoch, old, resumed: 3, tokens: 700, waiting: 1);
        Report(planner, epoch, old, resumed: 4, tokens: 812, waiting: 0);
        Report(planner, epoch, old, resumed: 2, tokens: 500, waiting: 2);   // an older one

        var last = Last(planner);
        Assert.Equal("node b:1#1 was killed: it closed its connections", last.Cause);
        Assert.Equal([new DepartedNode("b:1#1", NoticedBy.ClosedConnections)], last.Gone);
        Assert.Equal(new Resumption(4, 812, TimeSpan.FromSeconds(0.6)), last.Resumed);
        Assert.Equal(
            "node b:1#1 was killed: it closed its connections; 4 requests went on after 0.6 s; " +
            "812 tokens were computed again",
            last.Story());
    }

    [Fact]
    public void What_was_computed_again_is_told_once_it_is_done_and_outlives_the_planner()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (old, _) = Serve(planner, nodes);
        var epoch = Kill(planner, nodes, old);
        Report(planner, epoch, old, resumed: 3, tokens: 700, waiting: 1);
        Alive(planner, nodes[0], TimeSpan.FromSeconds(2.5));
        Assert.NotEqual(epoch, View(planner).Latest?.Epoch);   // one has not gone on

        Report(planner, epoch, old, resumed: 4, tokens: 812, waiting: 0);
        Alive(planner, nodes[0], TimeSpan.FromSeconds(2.5));

        Assert.Equal((4, 812L), (View(planner).Latest!.Resumed!.Requests, View(planner).Latest!.Resumed!.Tokens));
        Watch(planner);
        Sys.Stop(planner);
        ExpectTerminated(planner, cancellationToken: Cancel);
        var next = Planner(devices: 2, TwoStages);
        // What the replica reports is a sum: another planner adds nothing to what is written.
        Report(next, epoch, old, resumed: 4, tokens: 812, waiting: 0);
        Assert.Equal((4, 812L), (Last(next).Resumed!.Requests, Last(next).Resumed!.Tokens));
        Assert.Null(View(next).Latest);
    }

    private Epoch Kill(IActorRef planner, ScriptedNode[] nodes, Epoch old)
    {
        nodes[1].Answers = false;
        planner.Tell(new ReplicaControlProtocol.ReplicaLost(old, 0, "Plans (0,0,0)->(0,1,0) e1 was closed"));
        planner.Tell(new DeviceFailed(old, nodes[0].Device, "Plans (0,0,0)->(0,1,0) e1 was closed", "b:1#1"));
        planner.Tell(new MemberSuspected("b:1"));
        var epoch = Prepare(planner, nodes[..1]);
        Connect(planner, nodes[..1], epoch);
        Assert.NotEqual(old, epoch);
        nodes[0].Commands.FishForMessage<ReleasePosition>(
            release => release.Epoch == old && View(planner).Phase == PlannerPhase.Releasing,
            cancellationToken: Cancel);
        planner.Tell(new PositionReleased(old, nodes[0].Device));
        Published(planner, PlannerPhase.Serving);
        return epoch;
    }

    private void Alive(IActorRef planner, ScriptedNode node, TimeSpan time)
    {
        View(planner);
        Clock.Advance(time);
        Register(planner, node);
        Tick(planner);
    }

    private static void Report(IActorRef planner, Epoch epoch, Epoch lostIn, int resumed, long tokens, int waiting) =>
        planner.Tell(new ReplicaControlProtocol.ReplicaLoad(epoch, 0, 0, 4, 8, 10, 20, 5, 5, 0)
        {
            Resumed = [new ReplicaControlProtocol.ResumedRequests(lostIn, resumed, tokens, waiting)],
        });

    private ReconfigurationRecord Last(IActorRef planner)
    {
        planner.Tell(new GetTimeline(), TestActor);
        return ExpectMsg<Timeline>(cancellationToken: Cancel).Reconfigurations[^1];
    }
}
