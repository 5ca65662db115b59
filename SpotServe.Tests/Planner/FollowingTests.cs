using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>The layout follows the load, and a load that wavers moves nothing.</summary>
public sealed class FollowingTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Load_that_a_replica_of_another_epoch_reports_is_not_that_of_the_one_that_serves()
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency));

        Assert.Equal(3, cluster.HearLoad(running: 3, epochsAway: 0));
        Assert.Equal(3, cluster.HearLoad(running: 5, epochsAway: -1));
        Assert.Equal(3, cluster.HearLoad(running: 7, epochsAway: 1));
    }

    [Fact]
    public void More_replicas_serve_while_the_load_is_more_than_one_can_carry_and_fewer_after_it()
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency));
        var one = cluster.Capacity(replicas: 1);
        cluster.Run(TimeSpan.FromMinutes(2), _ => one * 0.05);
        var calm = cluster.Degrees;

        cluster.Run(TimeSpan.FromMinutes(2), _ => one * 2.5);
        var busy = cluster.Degrees;
        cluster.Run(TimeSpan.FromMinutes(4), _ => one * 0.05);
        Assert.Equal(busy, cluster.Degrees);
        cluster.Run(TimeSpan.FromMinutes(2), _ => one * 0.05);

        Assert.True(busy.Replicas > calm.Replicas, $"{calm}, then {busy}");
        Assert.Equal(calm, cluster.Degrees);
        Assert.Equal(2, cluster.Changes);
    }

    /// <summary>Another layout is as much better either way; what it saves in five minutes is less than what open
    /// requests lose while its weights come in over a slow link.</summary>
    [Theory]
    [InlineData(1e9, true)]
    [InlineData(1, false)]
    public void Layout_is_changed_where_what_it_saves_is_more_than_its_weights_cost(double bytesPerSecond, bool changes)
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency), bytesPerSecond);
        var calm = cluster.Degrees;
        cluster.HearLoad(running: 8, epochsAway: 0);
        var load = cluster.Capacity(replicas: 1) * 0.6;

        cluster.Run(TimeSpan.FromMinutes(2), _ => load);

        Assert.Equal(changes, cluster.Degrees != calm);
    }

    /// <summary>Half a minute of load, then two of calm, again and again: what carries the bursts stays.</summary>
    [Fact]
    public void Bursts_that_come_again_find_the_layout_that_carried_the_last_one()
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency));
        var one = cluster.Capacity(replicas: 1);

        cluster.Run(
            TimeSpan.FromMinutes(20),
            now => one * ((now - Start).TotalSeconds % 150 < 30 ? 2.5 : 0.05));

        Assert.Equal(1, cluster.Changes);
        Assert.True(cluster.Degrees.Replicas > 1, $"{cluster.Degrees}");
    }

    /// <summary>Whatever the mean and however it wavers about it: after the first settling, hardly a change, and never
    /// back and forth.</summary>
    [Theory]
    [InlineData(Objective.Latency)]
    [InlineData(Objective.Throughput)]
    [InlineData(Objective.Slo)]
    public void Noisy_load_about_any_mean_never_has_the_layout_oscillate(Objective objective)
    {
        for (var seed = 1; seed <= 12; seed++)
        {
            var random = new Random(seed);
            var cluster = new FollowedCluster(Start, new LayoutObjective(objective));
            var mean = cluster.Capacity(replicas: 1) * (0.1 + (3.5 * random.NextDouble()));
            var noise = 0.05 + (0.25 * random.NextDouble());

            cluster.Run(TimeSpan.FromMinutes(10), _ => mean * (1 + (noise * ((2 * random.NextDouble()) - 1))));

            Assert.True(cluster.Changes <= 2, $"seed {seed}: {cluster.Changes} changes about {mean:0.0}/s");
        }
    }

    /// <summary>A core whose changes of layout are done at once.</summary>
    private sealed class FollowedCluster
    {
        private static readonly string[] Names = ["a:1#1", "b:1#1", "c:1#1", "d:1#1"];
        private readonly PlannerOptions _options;
        private readonly PlannerCore _core;
        private readonly Address _gateway = new("gateway");
        private readonly double _bytesPerSecond;
        private PlannerState _state;
        private DateTimeOffset _now;

        public FollowedCluster(DateTimeOffset start, LayoutObjective objective, double bytesPerSecond = 1e9)
        {
            _now = start;
            _bytesPerSecond = bytesPerSecond;
            _options = new PlannerOptions
            {
                DevicesExpected = Names.Length,
                SequencesMax = 8,
                WorkingBytes = 1 << 10,
                Objective = objective,
            };
            _core = new PlannerCore(_options);
            _state = _core.Begin(JournalState.Empty, _now).State;
            Report();
            Run(TimeSpan.FromSeconds(1), _ => 0);
        }

        public int Changes { get; private set; } = -1;   // the first layout is no change

        public LayoutDegrees Degrees => _state.Active!.Layout.Degrees;

        public double Capacity(int replicas) => new LayoutSearch(
                new SliceGeometry(TestModels.Small),
                new RooflineCostModel(new SliceGeometry(TestModels.Small), _options.Links),
                new SearchOptions { BatchSizes = [8], MigrationBufferBytes = 1 << 10 })
            .Evaluate(
                [.. DeviceKinds.InstancesOf([.. Names.Select(Info)])],
                new Workload(1, 64, 64),
                new LayoutDegrees(replicas, 1, 1, 8))!.Throughput;

        public void Run(TimeSpan time, Func<DateTimeOffset, double> load)
        {
            for (var end = _now + time; _now < end; _now += TimeSpan.FromSeconds(0.5))
            {
                Report();
                Hear(new PlannerInputs.DemandReported(_gateway, new GatewayDemand(load(_now), 64, 64, 0)));
                Hear(PlannerInputs.Tick.Instance);
                if (_state.Phase is Asking) ChangeLayout();
            }
        }

        /// <summary>What is known of a replica's load after it reported one.</summary>
        /// <param name="epochsAway">Of the report, from the epoch that serves.</param>
        public int? HearLoad(int running, long epochsAway)
        {
            var epoch = new Epoch(_state.Active!.Epoch.Value + epochsAway);
            Hear(new Actors.Replica.ReplicaControlProtocol.ReplicaLoad(epoch, 0, 0, running, 8, 1, 1, 1, 1, 0));
            return _state.Active!.Loads.GetValueOrDefault(0)?.Load.Running;
        }

        private void ChangeLayout()
        {
            foreach (var node in Names)
            {
                HeldDevice held = new(new DeviceId(node, 0), [], []);
                Hear(new PlannerInputs.HoldingsReported(_state.Round, node, [held]));
            }

            foreach (var replica in _state.Active?.Replicas.Keys ?? [])
                Hear(new Actors.Replica.ReplicaControlProtocol.ReplicaCacheReport(_state.Active!.Epoch, replica, []));
            if (_state.Phase is not ChangingPhase { Change: var change }) return;
            Changes++;
            var (epoch, layout, old) = (change.Epoch, change.Layout, _state.Active);
            foreach (var device in layout.Placement) Hear(new ClusterProtocol.DevicePrepared(epoch, device, 0));
            foreach (var device in layout.Placement) Hear(new ClusterProtocol.DeviceConnected(epoch, device));
            for (var i = 0; i < layout.Degrees.Replicas; i++)
                Hear(new PlannerInputs.LeaderStarted(epoch, i, new Address($"replica {i}")));
            foreach (var replica in old?.Replicas.Keys ?? [])
            {
                Hear(new Actors.Replica.HandoverProtocol.HandoverReady(old!.Epoch, replica, epoch));
                Hear(new Actors.Replica.ReplicaControlProtocol.Drained(old.Epoch, replica));
            }

            for (var i = 0; i < layout.Degrees.Replicas; i++)
                Hear(new Actors.Replica.HandoverProtocol.ReplicaServes(epoch, i, 0, 0, 0, 0));
            foreach (var device in old?.Layout.Placement ?? ImmutableArray<DeviceId>.Empty)
                Hear(new ClusterProtocol.PositionReleased(old!.Epoch, device));
            Assert.IsType<Serving>(_state.Phase);
        }

        private void Report()
        {
            foreach (var name in Names)
                Hear(new PlannerInputs.NodeReported(Info(name), TestModels.Small, new Address(name)));
        }

        private void Hear(object happened) => _state = _core.Step(_state, happened, _now).State;

        private NodeInfo Info(string name) =>
            new(name, "127.0.0.1:1", [new DeviceInfo(0, "cpu", 64L << 20)])
            {
                Rates = new SourceRates(_bytesPerSecond, _bytesPerSecond),
            };

        private sealed record Address(string Name) : IAddress;
    }
}
