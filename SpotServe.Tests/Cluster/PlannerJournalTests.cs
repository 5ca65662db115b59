using Akka.Actor;
using Akka.Persistence;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>However often layouts change, the planner's journal stays short and says all that matters.</summary>
public sealed class PlannerJournalTests : PlannerTestKit
{
    private const int CheckpointEvery = 6;
    private const int Failures = 20;

    private static readonly LayoutDegrees TwoStages = new(1, 2, 1, 8);
    private static readonly PlannerOptions Options = new() { CheckpointEvery = CheckpointEvery };

    [Fact]
    public void Journal_is_cut_at_checkpoints_and_the_next_planner_goes_on_from_what_is_left()
    {
        var planner = Planner(devices: 2, TwoStages, Options);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (serving, replicas) = Serve(planner, nodes);
        var newest = FailOften(planner, nodes, serving, replicas[0]);
        Stop(planner);

        var left = Read();
        var second = Planner(devices: 2, TwoStages, Options);
        foreach (var node in nodes) Register(second, node);
        Tick(second);
        AnswerEmptyCache(replicas[0], serving, 0);

        Assert.InRange(left, 1, (2 * CheckpointEvery) + 6);
        var view = View(second);
        Assert.Equal((newest, serving), (view.Epoch, view.ServingEpoch));
        Assert.Equal(replicas[0].Ref, Assert.Single(view.Replicas).Actor);
        second.Tell(new GetTimeline(), TestActor);
        Assert.Equal(Failures + 1, ExpectMsg<Timeline>(cancellationToken: Cancel).Reconfigurations.Length);
    }

    /// <summary>A layout that was asked for fails again and again while the old one serves.</summary>
    private Epoch FailOften(
        IActorRef planner, ScriptedNode[] nodes, Epoch serving, Akka.TestKit.TestProbe replica)
    {
        var newest = serving;
        planner.Tell(new ChangeLayout(new LayoutDegrees(1, 1, 2, 8)), TestActor);
        ExpectMsg<OperatorAnswer>(cancellationToken: Cancel);
        for (var i = 0; i < Failures; i++)
        {
            AnswerEmptyCache(replica, serving, 0);
            var prepare = nodes[0].Commands.FishForMessage<PreparePosition>(
                message => message.Epoch > newest, cancellationToken: Cancel);
            newest = prepare.Epoch;
            // Another reason each time: the same twice would not be tried again.
            planner.Tell(new DeviceFailed(newest, nodes[0].Device, $"out of memory by {i} bytes", null));
            if (i == Failures - 1) break;
            if (View(planner).Phase == PlannerPhase.Planning) continue;   // the first failure is planned for at once
            Clock.Advance(TimeSpan.FromSeconds(17));
            foreach (var node in nodes) Register(planner, node);
            Tick(planner);
        }

        View(planner);
        return newest;
    }

    private void Stop(IActorRef planner)
    {
        Watch(planner);
        Sys.Stop(planner);
        ExpectTerminated(planner, cancellationToken: Cancel);
    }

    /// <returns>Events that are left.</returns>
    private int Read()
    {
        var reader = Sys.ActorOf(Props.Create(() => new Reader()));
        reader.Tell("how many?", TestActor);
        return ExpectMsg<int>(cancellationToken: Cancel);
    }

    private sealed class Reader : ReceivePersistentActor
    {
        public Reader()
        {
            var count = 0;
            Recover<PlannerEvents.IPlannerEvent>(_ => count++);
            CommandAny(_ => Sender.Tell(count));
        }

        public override string PersistenceId => "planner";
    }
}
