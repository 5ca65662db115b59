using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>Who may serve, when the first layout is chosen, what a failure or restart leads to.</summary>
public sealed class PlannerActorTests : PlannerTestKit
{
    private static readonly LayoutDegrees TwoStages = new(1, 2, 1, 8);

    [Fact]
    public void Layout_serves_once_every_device_is_ready_and_connected()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");

        Tick(planner);
        var epoch = Prepare(planner, nodes);
        Assert.Empty(View(planner).Replicas);
        var replicas = Connect(planner, nodes, epoch);

        var view = Published(planner, PlannerPhase.Serving);
        Assert.Equal((new Epoch(1), new Epoch(1)), (view.Epoch, view.ServingEpoch));
        Assert.Equal(replicas[0].Ref, Assert.Single(view.Replicas).Actor);
    }

    [Fact]
    public void Planner_waits_for_the_expected_devices()
    {
        var planner = Planner(devices: 2, wanted: null);
        var nodes = Join(planner, "a:1#1");

        Tick(planner);

        Assert.Equal(PlannerPhase.Gathering, View(planner).Phase);
        nodes[0].Commands.ExpectNoMsg(TimeSpan.Zero, Cancel);
    }

    [Fact]
    public void Accused_node_that_does_not_answer_is_planned_without_after_a_quarter_of_a_second()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (epoch, _) = Serve(planner, nodes);

        nodes[1].Answers = false;
        planner.Tell(new DeviceFailed(epoch, nodes[0].Device, "peer gone", "b:1#1"));
        Published(planner, PlannerPhase.Planning);
        Tick(planner, TimeSpan.FromMilliseconds(250));

        var again = nodes[0].Commands.FishForMessage<PreparePosition>(
            message => message.Epoch == new Epoch(2), cancellationToken: Cancel);
        Assert.Equal(new LayerRange(0, 8), again.Order.Assignment.Layers);
        Assert.Equal("a:1#1", Assert.Single(View(planner).Nodes).Node);
    }

    [Fact]
    public void Accused_node_that_answers_is_planned_with_at_once()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (epoch, _) = Serve(planner, nodes);

        planner.Tell(new DeviceFailed(epoch, nodes[0].Device, "a link broke", "b:1#1"));

        Assert.Equal(new Epoch(2), Prepare(planner, nodes));
    }

    [Fact]
    public void Layouts_that_fail_before_they_serve_are_tried_after_longer_and_longer_waits()
    {
        var planner = Planner(devices: 1, wanted: null, Limited(new() { Settle = TimeSpan.FromSeconds(1) }));
        var nodes = Join(planner, "a:1#1");
        Tick(planner);
        FailToLoad(planner, nodes[0], new Epoch(1));
        FailToLoad(planner, nodes[0], new Epoch(2));   // the first failure is followed at once

        TickAlive(planner, nodes[0], TimeSpan.FromSeconds(0.9));
        nodes[0].Commands.FishForMessage<ReleasePosition>(
            message => message.Epoch.Value == 2, cancellationToken: Cancel);
        nodes[0].Commands.ExpectNoMsg(TimeSpan.Zero, Cancel);
        TickAlive(planner, nodes[0], TimeSpan.FromSeconds(0.2));
        FailToLoad(planner, nodes[0], new Epoch(3));

        TickAlive(planner, nodes[0], TimeSpan.FromSeconds(1.1));
        nodes[0].Commands.FishForMessage<ReleasePosition>(
            message => message.Epoch.Value == 3, cancellationToken: Cancel);
        nodes[0].Commands.ExpectNoMsg(TimeSpan.Zero, Cancel);
    }

    [Fact]
    public void Device_without_progress_has_the_layout_given_up()
    {
        var planner = Planner(devices: 1, wanted: null, Limited(new() { ProgressMax = TimeSpan.FromSeconds(3) }));
        var nodes = Join(planner, "a:1#1");
        Tick(planner);
        nodes[0].Commands.FishForMessage<PreparePosition>(_ => true, cancellationToken: Cancel);

        TickAlive(planner, nodes[0], TimeSpan.FromSeconds(3.1));

        nodes[0].Commands.FishForMessage<PreparePosition>(
            message => message.Epoch == new Epoch(2), cancellationToken: Cancel);
    }

    [Fact]
    public void Command_that_is_not_answered_is_repeated()
    {
        var planner = Planner(devices: 1, wanted: null);
        var nodes = Join(planner, "a:1#1");
        Tick(planner);
        var first = nodes[0].Commands.FishForMessage<PreparePosition>(_ => true, cancellationToken: Cancel);

        TickAlive(planner, nodes[0], TimeSpan.FromSeconds(0.6));

        var again = nodes[0].Commands.FishForMessage<PreparePosition>(_ => true, cancellationToken: Cancel);
        Assert.Equal(first.Epoch, again.Epoch);
    }

    [Fact]
    public void Node_with_another_model_is_refused_with_both_fingerprints()
    {
        var planner = Planner(devices: 2, wanted: null);
        var node = Join(planner, "a:1#1")[0];
        var stranger = CreateTestProbe("stranger");

        planner.Tell(new RegisterNode(
            node.Info with { Node = "b:1#1" }, TestModels.Small with { Fingerprint = "other" }, stranger));

        var refused = stranger.ExpectMsg<NodeRefused>(cancellationToken: Cancel);
        Assert.Contains("other", refused.Reason, StringComparison.Ordinal);
        Assert.Contains(TestModels.Small.Fingerprint, refused.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Node_whose_weight_files_turn_out_to_be_others_is_refused_and_the_first_one_stays()
    {
        var planner = Planner(devices: 2, wanted: null);
        var (first, second) = (CreateTestProbe("first"), CreateTestProbe("second"));
        var info = new ScriptedNode("a:1#1", CreateTestProbe()).Info;
        var other = new ScriptedNode("b:1#1", CreateTestProbe()).Info;

        planner.Tell(new RegisterNode(info with { WeightsHash = "aaaa" }, TestModels.Small, first));
        planner.Tell(new RegisterNode(other, TestModels.Small, second));
        second.ExpectNoMsg(TimeSpan.Zero, Cancel);
        planner.Tell(new RegisterNode(other with { WeightsHash = "aaaa" }, TestModels.Small, second));
        planner.Tell(new RegisterNode(other with { WeightsHash = "bbbb" }, TestModels.Small, second));
        planner.Tell(new RegisterNode(info with { WeightsHash = "aaaa" }, TestModels.Small, first));

        var refused = second.FishForMessage<NodeRefused>(_ => true, cancellationToken: Cancel);
        Assert.Contains("aaaa", refused.Reason, StringComparison.Ordinal);
        Assert.Contains("bbbb", refused.Reason, StringComparison.Ordinal);
        Assert.Contains("sha256sum", refused.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "theirs", "ours")]
    [InlineData("ours", "ours", "theirs")]
    public void Node_with_another_secret_is_refused_before_it_can_break_a_layout(
        string? cluster, string first, string refused)
    {
        var planner = Planner(devices: 2, wanted: null, new PlannerOptions { SecretMark = cluster });
        var node = new ScriptedNode("a:1#1", CreateTestProbe());
        var stranger = CreateTestProbe("stranger");

        planner.Tell(new RegisterNode(node.Info with { SecretMark = first }, TestModels.Small, CreateTestProbe()));
        planner.Tell(new RegisterNode(
            node.Info with { Node = "b:1#1", SecretMark = refused }, TestModels.Small, stranger));

        var message = stranger.ExpectMsg<NodeRefused>(cancellationToken: Cancel);
        Assert.Contains("SPOTSERVE_SECRET", message.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, true, false)]
    public void Node_whose_data_plane_is_not_encrypted_as_the_others_is_refused_and_told_the_option(
        bool required, bool first, bool refused)
    {
        var planner = Planner(devices: 2, wanted: null, new PlannerOptions { RequiresEncryptedData = required });
        var node = new ScriptedNode("a:1#1", CreateTestProbe());
        var stranger = CreateTestProbe("stranger");

        planner.Tell(new RegisterNode(node.Info with { EncryptsData = first }, TestModels.Small, CreateTestProbe()));
        planner.Tell(new RegisterNode(
            node.Info with { Node = "b:1#1", EncryptsData = refused }, TestModels.Small, stranger));

        var message = stranger.FishForMessage<NodeRefused>(_ => true, cancellationToken: Cancel);
        Assert.Contains("--data-tls", message.Reason, StringComparison.Ordinal);
        Assert.StartsWith("Node b:1#1 ", message.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Restarted_planner_goes_on_with_the_epoch_that_still_serves_and_calls_off_what_it_was_to_hand_over()
    {
        var planner = Planner(devices: 2, TwoStages);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        var (epoch, replicas) = Serve(planner, nodes);
        Stop(planner);

        var second = Planner(devices: 2, TwoStages);
        foreach (var node in nodes) Register(second, node);
        Tick(second);
        replicas[0].FishForMessage<HandoverProtocol.CancelHandover>(
            cancel => cancel.Epoch == epoch && cancel.NewEpoch >= epoch, cancellationToken: Cancel);
        AnswerEmptyCache(replicas[0], epoch, 0);

        var view = Published(second, PlannerPhase.Serving);
        Assert.Equal((epoch, epoch), (view.Epoch, view.ServingEpoch));
        Assert.Equal(replicas[0].Ref, Assert.Single(view.Replicas).Actor);
    }

    [Fact]
    public void Restarted_planner_never_reuses_an_epoch()
    {
        var planner = Planner(devices: 1, wanted: null);
        var nodes = Join(planner, "a:1#1");
        Tick(planner);
        nodes[0].Commands.FishForMessage<PreparePosition>(_ => true, cancellationToken: Cancel);
        Stop(planner);

        var second = Planner(devices: 1, wanted: null);
        Register(second, nodes[0]);
        Tick(second);

        nodes[0].Commands.FishForMessage<PreparePosition>(
            message => message.Epoch == new Epoch(2), cancellationToken: Cancel);
    }

    private static PlannerOptions Limited(PlannerLimits limits) => new() { Limits = limits };

    private void Stop(IActorRef planner)
    {
        Watch(planner);
        Sys.Stop(planner);
        ExpectTerminated(planner, cancellationToken: Cancel);
    }

    private void FailToLoad(IActorRef planner, ScriptedNode node, Epoch epoch)
    {
        node.Commands.FishForMessage<PreparePosition>(message => message.Epoch == epoch, cancellationToken: Cancel);
        planner.Tell(new DeviceFailed(epoch, node.Device, "its weights are wrong", null));
        View(planner);
    }

    /// <summary>Lets time pass in which the node goes on to report.</summary>
    private void TickAlive(IActorRef planner, ScriptedNode node, TimeSpan time)
    {
        Clock.Advance(time);
        Register(planner, node);
        View(planner);
        ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromMilliseconds(60));
        View(planner);
    }
}
