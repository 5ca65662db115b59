using Akka.Actor;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Tests.Cluster;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Planner;

/// <summary>Layouts that fail for a reason which another try would meet again.</summary>
public sealed class SetbackTests : PlannerTestKit
{
    private static readonly LayoutDegrees TwoStages = new(1, 2, 1, 8);

    [Fact]
    public void Model_that_cannot_be_loaded_ends_the_start_after_one_try()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        Tick(planner);
        var prepare = nodes[0].Commands.FishForMessage<PreparePosition>(_ => true, cancellationToken: Cancel);

        planner.Tell(ModelFailed(prepare.Epoch, nodes[0].Device));

        Assert.Equal(PlannerPhase.CannotServe, View(planner).Phase);
        Assert.Contains("l.3.q is missing", View(planner).StatusLine, StringComparison.Ordinal);
        foreach (var node in nodes)
        {
            var refused = node.Commands.FishForMessage<NodeRefused>(_ => true, cancellationToken: Cancel);
            Assert.Contains("l.3.q is missing", refused.Reason, StringComparison.Ordinal);
        }

        var late = Join(planner, "c:1#1")[0];
        late.Commands.FishForMessage<NodeRefused>(_ => true, cancellationToken: Cancel);
        Tick(planner, TimeSpan.FromSeconds(60));
        Assert.Equal(new Epoch(1), View(planner).Epoch);
    }

    [Fact]
    public void Layout_that_failed_twice_for_the_same_reason_is_tried_again_only_when_something_changed()
    {
        var planner = Planner(
            devices: 1, wanted: null, new PlannerOptions { Stated = new SourceRates(1e9, 1e9) });
        var nodes = Join(planner, "a:1#1");
        var (serving, replicas) = Serve(planner, nodes);
        nodes = [.. nodes, .. Join(planner, "b:1#1")];
        Alive(TimeSpan.FromSeconds(0.4));
        FailOnce(2);
        FailOnce(3);   // the first failure is followed at once
        Alive(TimeSpan.FromSeconds(0.6));
        AnswerEmptyCache(replicas[0], serving, 0);

        var view = Published(planner, PlannerPhase.Serving);
        Assert.Equal((new Epoch(3), serving), (view.Epoch, view.ServingEpoch));
        Assert.Contains("is not tried again", view.StatusLine, StringComparison.Ordinal);
        Alive(TimeSpan.FromSeconds(60));
        Assert.Equal(new Epoch(3), View(planner).Epoch);
        planner.Tell(new ChangeLayout(null), TestActor);
        AnswerEmptyCache(replicas[0], serving, 0);
        nodes[1].Commands.FishForMessage<PreparePosition>(
            message => message.Epoch == new Epoch(4), cancellationToken: Cancel);

        void FailOnce(long epoch)
        {
            AnswerEmptyCache(replicas[0], serving, 0);
            nodes[1].Commands.FishForMessage<PreparePosition>(
                message => message.Epoch == new Epoch(epoch), cancellationToken: Cancel);
            planner.Tell(ModelFailed(new Epoch(epoch), nodes[1].Device));
            View(planner);
        }

        void Alive(TimeSpan time)
        {
            View(planner);
            Clock.Advance(time);
            foreach (var node in nodes) Register(planner, node);
            Tick(planner);
        }
    }

    private static DeviceFailed ModelFailed(Epoch epoch, DeviceId device) =>
        new(epoch, device, "could not load its weights: tensor l.3.q is missing", null) { Kind = FailureKind.Model };
}
