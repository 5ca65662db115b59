using Akka.Actor;
using Akka.TestKit;
using Akka.TestKit.Xunit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class PlannerActorTests : TestKit
{
    private const string Virtual = """
        akka.actor.provider = cluster
        akka.remote.dot-netty.tcp.port = 0
        akka.remote.dot-netty.tcp.hostname = 127.0.0.1
        akka.persistence.journal.plugin = akka.persistence.journal.inmem
        akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit"
        """;

    private readonly ManualClock _clock = new();
    public PlannerActorTests()
        : base(Virtual)
    {
    }

    [Fact]
    public void Layout_serves_once_every_device_has_loaded_and_connected()
    {
        var planner = Planner(devices: 2, new LayoutDegrees(1, 2, 1, 8));
        var nodes = Join(planner, "a:1#1", "b:1#1");

        Tick(planner);
        var epoch = Load(planner, nodes);
        Connect(planner, nodes, epoch);
        planner.Tell(new ReplicaStarted(epoch, 0, nodes[0]));

        var view = Published(planner, PlannerPhase.Serving);
        Assert.Equal(new Epoch(1), view.Epoch);
        Assert.Equal(nodes[0].Ref, Assert.Single(view.Replicas));
    }

    [Fact]
    public void Planner_waits_for_the_expected_devices()
    {
        var planner = Planner(devices: 2, wanted: null);
        var nodes = Join(planner, "a:1#1");

        Tick(planner);

        Assert.Equal(PlannerPhase.Gathering, View(planner).Phase);
        nodes[0].ExpectNoMsg(TimeSpan.Zero, TestContext.Current.CancellationToken);
    }

    [Fact]
    public void Lost_device_leads_to_a_newer_epoch_over_the_nodes_that_still_report()
    {
        var planner = Planner(devices: 2, new LayoutDegrees(1, 2, 1, 8));
        var nodes = Join(planner, "a:1#1", "b:1#1");
        Tick(planner);
        var epoch = Load(planner, nodes);
        Connect(planner, nodes, epoch);
        planner.Tell(new ReplicaStarted(epoch, 0, nodes[0]));
        Published(planner, PlannerPhase.Serving);

        planner.Tell(new DeviceFailed(epoch, new DeviceId("a:1#1", 0), "peer gone"));
        Published(planner, PlannerPhase.Gathering);
        _clock.Advance(TimeSpan.FromMilliseconds(100));
        Register(planner, "a:1#1", nodes[0]);
        View(planner);
        _clock.Advance(TimeSpan.FromSeconds(2));
        Tick(planner);

        var again = nodes[0].FishForMessage<LoadPosition>(
            message => message.Epoch == new Epoch(2), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(new LayerRange(0, 8), again.Assignment.Layers);
    }

    [Fact]
    public void Layouts_that_fail_before_they_serve_are_tried_after_longer_and_longer_waits()
    {
        var planner = Planner(devices: 1, wanted: null);
        var nodes = Join(planner, "a:1#1");
        Tick(planner);
        FailToLoad(planner, nodes[0], new Epoch(1));
        SettleFor(planner, nodes[0], TimeSpan.FromSeconds(2));
        FailToLoad(planner, nodes[0], new Epoch(2));

        SettleFor(planner, nodes[0], TimeSpan.FromSeconds(2));
        nodes[0].ExpectNoMsg(TimeSpan.Zero, TestContext.Current.CancellationToken);
        SettleFor(planner, nodes[0], TimeSpan.FromSeconds(2));

        nodes[0].FishForMessage<LoadPosition>(
            message => message.Epoch == new Epoch(3), cancellationToken: TestContext.Current.CancellationToken);
    }

    [Fact]
    public void Node_that_stays_silent_after_a_loss_is_no_reason_to_plan_for_it_again()
    {
        var planner = Planner(devices: 2, new LayoutDegrees(1, 2, 1, 8));
        var nodes = Join(planner, "a:1#1", "b:1#1");
        Tick(planner);
        var epoch = Load(planner, nodes);
        planner.Tell(new DeviceFailed(epoch, new DeviceId("a:1#1", 0), "peer gone"));
        Published(planner, PlannerPhase.Gathering);
        _clock.Advance(TimeSpan.FromMilliseconds(100));
        Register(planner, "a:1#1", nodes[0]);
        View(planner);
        _clock.Advance(TimeSpan.FromSeconds(2));

        Tick(planner);

        Assert.Equal("a:1#1", Assert.Single(View(planner).Nodes).Node);
    }

    [Fact]
    public void Node_with_another_model_is_refused_with_both_fingerprints()
    {
        var planner = Planner(devices: 2, wanted: null);
        Join(planner, "a:1#1");
        var stranger = CreateTestProbe("stranger");

        planner.Tell(new RegisterNode(Node("b:1#1"), TestModels.Small with { Fingerprint = "other" }, stranger));

        var refused = stranger.ExpectMsg<NodeRefused>(cancellationToken: TestContext.Current.CancellationToken);
        Assert.Contains("other", refused.Reason, StringComparison.Ordinal);
        Assert.Contains(TestModels.Small.Fingerprint, refused.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "theirs", "ours")]
    [InlineData("ours", "ours", "theirs")]
    public void Node_with_another_secret_is_refused_before_it_can_break_a_layout(
        string? cluster, string first, string refused)
    {
        var planner = Sys.ActorOf(PlannerActor.Props(
            new PlannerOptions { DevicesExpected = 2, SecretMark = cluster }, _clock));
        var stranger = CreateTestProbe("stranger");

        planner.Tell(new RegisterNode(Node("a:1#1") with { SecretMark = first }, TestModels.Small, CreateTestProbe()));
        planner.Tell(new RegisterNode(Node("b:1#1") with { SecretMark = refused }, TestModels.Small, stranger));

        var message = stranger.ExpectMsg<NodeRefused>(cancellationToken: TestContext.Current.CancellationToken);
        Assert.Contains("SPOTSERVE_SECRET", message.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Restarted_planner_never_reuses_an_epoch()
    {
        var planner = Planner(devices: 1, wanted: null);
        var nodes = Join(planner, "a:1#1");
        Tick(planner);
        nodes[0].ExpectMsg<LoadPosition>(cancellationToken: TestContext.Current.CancellationToken);
        Watch(planner);
        Sys.Stop(planner);
        ExpectTerminated(planner, cancellationToken: TestContext.Current.CancellationToken);

        var second = Planner(devices: 1, wanted: null);
        Register(second, "a:1#1", nodes[0]);
        Tick(second);

        nodes[0].FishForMessage<LoadPosition>(
            message => message.Epoch == new Epoch(2), cancellationToken: TestContext.Current.CancellationToken);
    }

    private static NodeInfo Node(string name) =>
        new(name, "127.0.0.1:1", [new DeviceInfo(0, "cpu", 8L << 30)]);

    private IActorRef Planner(int devices, LayoutDegrees? wanted) => Sys.ActorOf(PlannerActor.Props(
        new PlannerOptions { DevicesExpected = devices, Wanted = wanted }, _clock));

    private TestProbe[] Join(IActorRef planner, params string[] names) => [.. names.Select(name =>
    {
        var node = CreateTestProbe();
        Register(planner, name, node);
        return node;
    })];

    private static void Register(IActorRef planner, string name, TestProbe node) =>
        planner.Tell(new RegisterNode(Node(name), TestModels.Small, node));

    private void FailToLoad(IActorRef planner, TestProbe node, Epoch epoch)
    {
        var load = node.FishForMessage<LoadPosition>(
            message => message.Epoch == epoch, cancellationToken: TestContext.Current.CancellationToken);
        planner.Tell(new DeviceFailed(epoch, load.Device, "its weights are wrong"));
        Published(planner, PlannerPhase.Gathering);
    }

    /// <summary>Lets time pass in which the node goes on to report.</summary>
    private void SettleFor(IActorRef planner, TestProbe node, TimeSpan time)
    {
        _clock.Advance(time);
        Register(planner, "a:1#1", node);
        Tick(planner);
    }

    private static Epoch Load(IActorRef planner, TestProbe[] nodes)
    {
        var epoch = Epoch.None;
        foreach (var node in nodes)
        {
            var load = node.ExpectMsg<LoadPosition>(cancellationToken: TestContext.Current.CancellationToken);
            epoch = load.Epoch;
            planner.Tell(new DeviceLoaded(epoch, load.Device, 0.1));
        }

        return epoch;
    }

    private static void Connect(IActorRef planner, TestProbe[] nodes, Epoch epoch)
    {
        foreach (var node in nodes)
        {
            var connect = node.ExpectMsg<ConnectPosition>(cancellationToken: TestContext.Current.CancellationToken);
            planner.Tell(new DeviceConnected(epoch, connect.Device));
        }
    }

    private void Tick(IActorRef planner)
    {
        // Once it answers, its timer exists in virtual time and earlier messages have been handled.
        View(planner);
        ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromMilliseconds(250));
    }

    private PlannerView View(IActorRef planner) => Published(planner, phase: null);

    /// <summary>The planner's view as a new gateway gets it, or the first one in a phase.</summary>
    private PlannerView Published(IActorRef planner, PlannerPhase? phase)
    {
        var gateway = CreateTestProbe();
        planner.Tell(new RegisterGateway(gateway));
        return gateway.FishForMessage<PlannerView>(
            view => phase is null || view.Phase == phase, cancellationToken: TestContext.Current.CancellationToken);
    }
}
