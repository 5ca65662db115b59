using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>The planner leads from one serving layout to the next, and back when that fails.</summary>
public sealed class ReconfigurationTests : PlannerTestKit
{
    private static readonly LayoutDegrees TwoStages = new(1, 2, 1, 8);
    private static readonly LayoutDegrees ThreeStages = new(1, 3, 1, 8);

    [Fact]
    public void Notice_leads_to_the_next_layout_while_the_old_one_serves_and_then_releases_the_node()
    {
        var planner = Planner(devices: 3, ThreeStages);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        var (old, replicas) = Serve(planner, nodes);
        var staying = nodes[..2];

        var (epoch, next) = ReadyFor(planner, old, replicas[0], nodes[2], staying);
        Assert.Equal(replicas[0].Ref, Assert.Single(View(planner).Replicas).Actor);
        CutOver(planner, old, replicas[0], epoch);

        var view = Published(planner, PlannerPhase.Releasing);
        Assert.Equal(epoch, view.ServingEpoch);
        Assert.Equal(next[0].Ref, Assert.Single(view.Replicas).Actor);
        Release(planner, nodes, old);
        Published(planner, PlannerPhase.Serving);
        Tick(planner);
        nodes[2].Commands.FishForMessage<NodeReleased>(_ => true, cancellationToken: Cancel);
    }

    [Fact]
    public void Timeline_tells_cause_phases_and_counts_and_outlives_the_planner()
    {
        var planner = Planner(devices: 3, ThreeStages);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        var (old, replicas) = Serve(planner, nodes);
        var (epoch, _) = ReadyFor(planner, old, replicas[0], nodes[2], nodes[..2]);
        CutOver(planner, old, replicas[0], epoch);
        Release(planner, nodes, old);
        Published(planner, PlannerPhase.Serving);
        Watch(planner);
        Sys.Stop(planner);
        ExpectTerminated(planner, cancellationToken: Cancel);

        var again = Planner(devices: 3, ThreeStages);
        again.Tell(new GetTimeline(), TestActor);
        var records = ExpectMsg<Timeline>(cancellationToken: Cancel).Reconfigurations;

        Assert.Equal(2, records.Length);
        Assert.Null(records[0].From);
        var last = records[1];
        Assert.Equal((ThreeStages, TwoStages), (last.From!.Value, last.To));
        Assert.Contains("c:1#1 leaves", last.Cause, StringComparison.Ordinal);
        Assert.Equal(ReconfigurationRecord.Served, last.Outcome);
        Assert.Equal(["Planning", "PreCopying", "CuttingOver", "Releasing"], last.Phases.Select(phase => phase.Name));
        Assert.Equal((3, 5L, 4096L), (last.Sequences, last.TokensRecomputed, last.PageBytes));
        Assert.NotNull(last.Pause);
    }

    [Fact]
    public void Layout_that_fails_while_it_gets_ready_leaves_the_old_one_serving()
    {
        var planner = Planner(devices: 3, ThreeStages);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        var (old, replicas) = Serve(planner, nodes);
        Notice(planner, nodes[2]);
        AnswerEmptyCache(replicas[0], old, 0);
        var epoch = Prepare(planner, nodes[..2]);

        planner.Tell(new DeviceFailed(epoch, nodes[0].Device, "out of memory", null));

        replicas[0].FishForMessage<HandoverProtocol.CancelHandover>(
            message => message.NewEpoch == epoch, cancellationToken: Cancel);
        var view = View(planner);
        Assert.Equal(old, view.ServingEpoch);
        Assert.Equal(replicas[0].Ref, Assert.Single(view.Replicas).Actor);
        nodes[0].Commands.FishForMessage<ReleasePosition>(
            message => message.Epoch == epoch && !message.Trim, cancellationToken: Cancel);
    }

    [Fact]
    public void Replicas_that_do_not_hear_from_the_old_ones_serve_without_them_after_a_bounded_time()
    {
        var planner = Planner(devices: 3, ThreeStages);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        var (old, replicas) = Serve(planner, nodes);
        var (epoch, next) = ReadyFor(planner, old, replicas[0], nodes[2], nodes[..2]);
        replicas[0].FishForMessage<ReplicaControlProtocol.Drain>(_ => true, cancellationToken: Cancel);

        Clock.Advance(TimeSpan.FromSeconds(5));
        foreach (var node in nodes) Register(planner, node);
        Tick(planner);

        next[0].FishForMessage<HandoverProtocol.ServeNow>(message => message.Epoch == epoch, cancellationToken: Cancel);
    }

    [Fact]
    public void Node_that_leaves_hands_over_what_it_can_before_it_goes_and_no_longer()
    {
        var options = new PlannerOptions();
        var planner = Planner(devices: 3, ThreeStages);
        var nodes = Join(planner, "a:1#1", "b:1#1", "c:1#1");
        var (old, replicas) = Serve(planner, nodes);
        var deadline = Clock.GetUtcNow() + TimeSpan.FromSeconds(30);   // as Notice gives it
        Notice(planner, nodes[2]);
        AnswerEmptyCache(replicas[0], old, 0);
        var epoch = Prepare(planner, nodes[..2]);
        var next = Connect(planner, nodes[..2], epoch);
        replicas[0].FishForMessage<HandoverProtocol.BeginHandover>(_ => true, cancellationToken: Cancel);

        PassUntil(deadline - options.Limits.DeadlineReserve);
        replicas[0].FishForMessage<ReplicaControlProtocol.Drain>(_ => true, cancellationToken: Cancel);
        PassUntil(deadline - options.Limits.HandoverReserve);

        next[0].FishForMessage<HandoverProtocol.ServeNow>(message => message.Epoch == epoch, cancellationToken: Cancel);
        // The node itself begins to leave then; both waits are useless unless they are over before.
        Assert.True(options.Limits.HandoverReserve > SpotServe.Actors.Hosting.NodeDeparture.LeaveTime);

        void PassUntil(DateTimeOffset time)
        {
            Clock.Advance(time - Clock.GetUtcNow());
            foreach (var node in nodes) Register(planner, node);
            Tick(planner);
        }
    }

    [Fact]
    public void Operator_asks_for_a_layout_and_is_told_when_it_does_not_fit()
    {
        var planner = Planner(devices: 2, wanted: null);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (old, replicas) = Serve(planner, nodes);

        planner.Tell(new ChangeLayout(new LayoutDegrees(1, 5, 1, 1)), TestActor);
        Assert.NotNull(ExpectMsg<OperatorAnswer>(cancellationToken: Cancel).Refusal);
        planner.Tell(new ChangeLayout(new LayoutDegrees(1, 1, 1, 1)), TestActor);
        Assert.Null(ExpectMsg<OperatorAnswer>(cancellationToken: Cancel).Refusal);
        AnswerEmptyCache(replicas[0], old, 0);

        Assert.Equal(new LayoutDegrees(1, 1, 1, 8), Published(planner, PlannerPhase.PreCopying).Layout!.Degrees);
    }

    [Fact]
    public void Order_to_preempt_reaches_the_node_and_an_unknown_one_is_named()
    {
        var planner = Planner(devices: 1, wanted: null);
        var node = Join(planner, "a:1#1")[0];

        planner.Tell(new PreemptNode("a:1#1", TimeSpan.FromSeconds(30), "admin"), TestActor);
        Assert.Null(ExpectMsg<OperatorAnswer>(cancellationToken: Cancel).Refusal);
        planner.Tell(new PreemptNode("x:1#1", TimeSpan.FromSeconds(30), "admin"), TestActor);

        var refusal = ExpectMsg<OperatorAnswer>(cancellationToken: Cancel).Refusal;
        Assert.Contains("a:1#1", refusal, StringComparison.Ordinal);
        node.Commands.FishForMessage<PreemptNode>(_ => true, cancellationToken: Cancel);
    }

    [Fact]
    public void Deadline_of_a_notice_counts_also_when_the_member_was_seen_to_leave_before_it_came()
    {
        var planner = Planner(devices: 1, wanted: null);
        Join(planner, "a:1#1");
        var deadline = Clock.GetUtcNow() + TimeSpan.FromMinutes(2);

        planner.Tell(new MemberLeaving("a:1"));
        planner.Tell(new NodeNotice("a:1#1", deadline, "signal"));
        planner.Tell(new NodeNotice("a:1#1", deadline + TimeSpan.FromMinutes(1), "file"));

        Assert.Equal(deadline, View(planner).Leaving["a:1#1"]);
    }

    private void Notice(IActorRef planner, ScriptedNode node)
    {
        planner.Tell(new NodeNotice(node.Name, Clock.GetUtcNow() + TimeSpan.FromSeconds(30), "admin"));
        Tick(planner, TimeSpan.FromMilliseconds(150));
    }

    /// <summary>A notice, up to the point where the old replica is about to be stopped.</summary>
    private (Epoch Epoch, TestProbe[] Replicas) ReadyFor(
        IActorRef planner, Epoch old, TestProbe oldReplica, ScriptedNode leaving, ScriptedNode[] staying)
    {
        Notice(planner, leaving);
        AnswerEmptyCache(oldReplica, old, 0);
        var epoch = Prepare(planner, staying);
        var replicas = Connect(planner, staying, epoch);
        var begin = oldReplica.FishForMessage<HandoverProtocol.BeginHandover>(_ => true, cancellationToken: Cancel);
        Assert.Equal(replicas[0].Ref, Assert.Single(begin.Targets).Leader);
        planner.Tell(new HandoverProtocol.HandoverReady(old, 0, epoch));
        return (epoch, replicas);
    }

    private static void CutOver(IActorRef planner, Epoch old, TestProbe oldReplica, Epoch epoch)
    {
        oldReplica.FishForMessage<ReplicaControlProtocol.Drain>(_ => true, cancellationToken: Cancel);
        planner.Tell(new ReplicaControlProtocol.Drained(old, 0));
        planner.Tell(new HandoverProtocol.ReplicaServes(epoch, 0, 3, 1, 5, 4096));
    }

    private static void Release(IActorRef planner, ScriptedNode[] nodes, Epoch old)
    {
        foreach (var node in nodes)
        {
            node.Commands.FishForMessage<ReleasePosition>(message => message.Epoch == old, cancellationToken: Cancel);
            planner.Tell(new PositionReleased(old, node.Device));
        }
    }
}
