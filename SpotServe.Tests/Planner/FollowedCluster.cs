using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>A core whose changes of layout are done at once.</summary>
internal sealed class FollowedCluster
{
    private static readonly string[] Names = ["a:1#1", "b:1#1", "c:1#1", "d:1#1"];
    private readonly PlannerOptions _options;
    private readonly PlannerCore _core;
    private readonly Address _gateway = new("gateway");
    private readonly double _bytesPerSecond;
    private readonly double _processorShare;
    private PlannerState _state;
    private DateTimeOffset _now;

    /// <param name="bytesPerSecond">From peers and from disk.</param>
    /// <param name="processorShare">That each of the four nodes asks of the machine's processor; 0: its own.</param>
    public FollowedCluster(
        DateTimeOffset start, LayoutObjective objective, double bytesPerSecond = 1e9, double processorShare = 0)
    {
        _now = start;
        _processorShare = processorShare;
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

    /// <summary>A second later each replica reports what it did in it: so many requests at once, or none, got so many
    /// tokens in all.</summary>
    public CostCorrections HearWork(params (int Running, long Tokens)[] replicas)
    {
        _now += TimeSpan.FromSeconds(1);
        for (var i = 0; i < replicas.Length; i++)
        {
            var (running, tokens) = replicas[i];
            var before = _state.Active!.Loads.GetValueOrDefault(i)?.Load;
            Hear(new Actors.Replica.ReplicaControlProtocol.ReplicaLoad(
                _state.Active!.Epoch, i, 0, running, 8, 1, 1, 1, (before?.TokensGenerated ?? 0) + tokens, 0)
            {
                BusyTime = (before?.BusyTime ?? default) + TimeSpan.FromSeconds(running > 0 ? 1 : 0),
                SequenceTime = (before?.SequenceTime ?? default) + TimeSpan.FromSeconds(running),
            });
        }

        return _state.Learned;
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
        new(name, "127.0.0.1:1", [new DeviceInfo(0, "cpu", 64L << 20) { ProcessorShare = _processorShare }])
        {
            Rates = new SourceRates(_bytesPerSecond, _bytesPerSecond),
        };

    private sealed record Address(string Name) : IAddress;
}
