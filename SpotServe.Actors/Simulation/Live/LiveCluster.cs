using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// Nodes and replicas that do what the live planner's core tells them, on virtual time. The core is the one that runs
/// live, unchanged: it hears the same messages and decides the same.
/// </summary>
internal sealed partial class LiveCluster
{
    private const double AnswerSeconds = 0.002, BusyBeatSeconds = 0.1, ReportSeconds = 0.5;

    /// <summary>No simulated node falls silent: its end is told. So none has to report that it is still there, which
    /// would be most of a long run's work.</summary>
    private static readonly TimeSpan SilenceMax = TimeSpan.FromDays(3660);

    private readonly VirtualTime _time;
    private readonly LiveSetup _setup;
    private readonly PlannerCore _core;
    private readonly SliceGeometry _geometry;
    private readonly SimulatedDevices _devices;
    private readonly SortedDictionary<string, NodeInfo> _nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DeviceKind> _kinds = new(StringComparer.Ordinal);
    private readonly SortedDictionary<(Epoch Epoch, int Replica), LiveReplica> _replicas = [];
    private readonly Dictionary<(Epoch Epoch, DeviceId Device), LiveReplica> _replicaOn = [];
    private readonly List<ContinuousReplica> _accepting = [];
    private readonly LiveHandover _handover;
    private readonly LiveRecord _record;
    private readonly Action<IEnumerable<SimulatedRequest>> _requeue;
    private readonly Action _roomMade;
    private readonly Action<SimulatedRequest> _completed;
    private readonly Func<GatewayDemand> _demand;
    private PlannerState _state;
    private ActiveEpoch? _accepted;
    private (Layout Layout, Dictionary<DeviceId, Position> Positions)? _placed;
    private double _reportedAt = double.NegativeInfinity;
    private double _loadsAt = double.NegativeInfinity;
    private long _beat;

    /// <param name="requeue">Takes requests that have no replica any more.</param>
    /// <param name="roomMade">Told that a replica may take more.</param>
    /// <param name="completed">Told of each request that is answered.</param>
    /// <param name="demand">What is asked, as a gateway reports it.</param>
    public LiveCluster(
        VirtualTime time,
        LiveSetup setup,
        Action<IEnumerable<SimulatedRequest>> requeue,
        Action roomMade,
        Action<SimulatedRequest> completed,
        Func<GatewayDemand> demand)
    {
        (_time, _setup, _requeue, _roomMade) = (time, setup, requeue, roomMade);
        (_completed, _demand) = (completed, demand);
        _geometry = new SliceGeometry(setup.Model);
        _devices = new SimulatedDevices(_geometry, setup.Links);
        _handover = new LiveHandover(time, setup, _geometry, _devices);
        _record = new LiveRecord(time, _devices);
        _core = new PlannerCore(setup.Planner with
        {
            Limits = setup.Planner.Limits with { SuspectAfter = SilenceMax, NodeSilenceMax = SilenceMax },
            // Machines come as the trace has it: nobody acts on a wish.
            Fleet = setup.Planner.Fleet with { Period = SilenceMax },
        });
        var begin = DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(setup.BeginSeconds);
        (_state, var effects) = _core.Begin(JournalState.Empty, begin);
        foreach (var effect in effects) Do(effect);
        Hear(new PlannerInputs.GatewayReported(GatewayAddress.One));
    }

    public LiveRecord Record => _record;

    /// <summary>Replicas that take requests now, in order.</summary>
    public IEnumerable<ContinuousReplica> Accepting => _accepting.Where(serving => serving.Accepts);

    private DateTimeOffset Now => DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(_time.Now);

    /// <summary>A node is there, with what it says of itself.</summary>
    /// <param name="kind">How fast its devices really are.</param>
    public void Join(NodeInfo node, DeviceKind kind)
    {
        _nodes.Add(node.Node, node);
        _kinds[node.Node] = kind;
        foreach (var device in node.Devices) _devices.Add(new DeviceId(node.Node, device.Index));
        Report(node);
        Wake();
    }

    /// <summary>A node says something else of itself from now on; nothing of one that is gone.</summary>
    public void Update(NodeInfo node)
    {
        if (!_nodes.ContainsKey(node.Node)) return;
        _nodes[node.Node] = node;
        Report(node);
    }

    /// <summary>An operator asks for something.</summary>
    /// <param name="asked">One of the planner's inputs.</param>
    public void Ask(object asked)
    {
        Hear(asked);
        Wake();
    }

    /// <summary>The cloud will take a node's machine.</summary>
    public void Notice(string node, double seconds)
    {
        if (!_nodes.ContainsKey(node)) return;
        var deadline = DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(seconds);
        Hear(new ClusterProtocol.NodeNotice(node, deadline, "cloud"));
        Wake();
    }

    /// <summary>A node is gone, with all that it held.</summary>
    public void Lose(string node)
    {
        if (!_nodes.Remove(node, out var info)) return;
        _devices.Remove(info.Devices.Select(device => new DeviceId(node, device.Index)));
        foreach (var replica in _replicas.Values.Where(replica => replica.Uses(node)).ToList())
        {
            Drop(replica);
            var left = replica.Held ?? replica.Serving.Stop();
            GiveBack(left.Concat(replica.Arrived.Select(request => (request, true))));
        }

        _time.At(_time.Now + _setup.DetectionSeconds, () =>
        {
            Hear(new MemberLost(node[..node.LastIndexOf('#')], "was lost"));
            Wake();
        });
    }

    /// <summary>Begins to report and to look at the load.</summary>
    public void Start() => Beat(_beat);

    private void Wake()
    {
        var beat = ++_beat;
        _time.At(_time.Now, () => Beat(beat));
    }

    private void Beat(long beat)
    {
        if (beat != _beat) return;
        if (_time.Now - _reportedAt >= ReportSeconds)
        {
            _reportedAt = _time.Now;
            Hear(new PlannerInputs.DemandReported(GatewayAddress.One, _demand()));
        }

        if (_time.Now - _loadsAt >= 1) ReportLoads();
        Hear(PlannerInputs.Tick.Instance);
        var next = ++_beat;
        var isIdle = _state is { Phase: Serving, Due: null } && _state.Leaving.IsEmpty;
        _time.At(_time.Now + (isIdle ? _setup.IdleBeatSeconds : BusyBeatSeconds), () => Beat(next));
    }

    private void Report(NodeInfo node) =>
        Hear(new PlannerInputs.NodeReported(node, _setup.Model, new NodeAddress(node.Node)));

    private void ReportLoads()
    {
        _loadsAt = _time.Now;
        foreach (var replica in _replicas.Values.Where(replica => replica.Serving.Accepts).ToList())
        {
            var serving = replica.Serving;
            // Of one that did nothing since there is nothing to tell.
            if (replica.IsIdleToldOf && serving.Count == 0) continue;
            replica.IsIdleToldOf = serving.Count == 0;
            var generated = serving.TokensGenerated + serving.Cached().Sum(request => (long)request.Decoded);
            replica.Running.Advance(TimeSpan.FromSeconds(_time.Now), serving.Count);
            Hear(new ReplicaControlProtocol.ReplicaLoad(
                replica.Epoch, replica.Index, 0, serving.Count, replica.Layout.Degrees.BatchSize, 0, 0, 0, generated, 0)
            {
                SequenceTime = replica.Running.Sequences,
                BusyTime = replica.Running.Busy,
            });
        }
    }

    private void Later(double seconds, object message) => _time.At(_time.Now + seconds, () => Hear(message));

    private void Hear(object message)
    {
        (_state, var effects) = _core.Step(_state, message, Now);
        foreach (var effect in effects) Do(effect);
        // What replicas report of their load changes nothing of who serves.
        if (ReferenceEquals(_state.Active?.Replicas, _accepted?.Replicas)
            && ReferenceEquals(_state.Active?.Serving, _accepted?.Serving)) return;
        Accept();
    }

    /// <summary>Requests go to the replicas that the planner's core says serve.</summary>
    private void Accept()
    {
        var active = _accepted = _state.Active;
        _accepting.Clear();
        foreach (var replica in _replicas.Values)
        {
            replica.Serving.Accepts = replica.Held is null && active?.Epoch == replica.Epoch
                && active.Replicas.ContainsKey(replica.Index);
            if (replica.Serving.Accepts) _accepting.Add(replica.Serving);
        }

        _roomMade();
    }

    private void Do(PlannerEffect effect)
    {
        switch (effect)
        {
            case PlannerEffect.Persist { Event: var happened }:
                _record.Happened(happened, _nodes.Count, _state.LostAllAt);
                if (happened is PlannerEvents.LayoutDecided { Layout: var decided })
                    _setup.Decided?.Invoke(_state.Planned!.Inputs, decided);
                break;
            case PlannerEffect.Send { To: NodeAddress { Node: var node }, Message: var message }:
                if (_nodes.ContainsKey(node)) Command(node, message);
                break;
            case PlannerEffect.Send { To: ReplicaAddress to, Message: var message }:
                if (_replicas.TryGetValue((to.Epoch, to.Replica), out var told)) Command(told, message);
                break;
            case PlannerEffect.Connect connect:
                _time.At(_time.Now + _setup.ConnectSeconds, () => Connect(connect));
                break;
            case PlannerEffect.BeginHandover { To: ReplicaAddress to } begin:
                if (!_replicas.TryGetValue((to.Epoch, to.Replica), out var old)) break;
                BeginHandover(old, begin);
                break;
            default:
                break;
        }
    }

    private void Command(string node, object message)
    {
        switch (message)
        {
            case ClusterProtocol.GetHoldings ask:
                _time.At(_time.Now + AnswerSeconds, () =>
                {
                    if (!_nodes.TryGetValue(node, out var info)) return;
                    var held = _devices.Held(
                        info.Devices.Select(device => new DeviceId(node, device.Index)), LeaderOf);
                    Hear(new PlannerInputs.HoldingsReported(ask.Round, node, held));
                });
                break;
            case ClusterProtocol.PreparePosition prepare:
                Prepare(prepare);
                break;
            case ClusterProtocol.ReleasePosition release:
                Release(release);
                break;
            case ClusterProtocol.NodeReleased:
                _time.At(_time.Now + AnswerSeconds, () => Lose(node));
                break;
            default:
                break;
        }
    }

    private IAddress? LeaderOf(Epoch epoch, int replica) =>
        _replicas.ContainsKey((epoch, replica)) ? new ReplicaAddress(epoch, replica) : null;

    private void Prepare(ClusterProtocol.PreparePosition prepare)
    {
        var assignment = prepare.Order.Assignment;
        if (_devices.Prepare(prepare.Device, prepare.Order, _time.Now) is not { } ready) return;
        var seconds = ready - _time.Now;
        _time.At(ready, () =>
        {
            if (!_devices.Has(prepare.Device)) return;
            _devices.Prepared(prepare.Device, assignment);
            Hear(new ClusterProtocol.DevicePrepared(prepare.Epoch, prepare.Device, seconds));
        });
    }

    private void Connect(PlannerEffect.Connect connect)
    {
        if (!_devices.Has(connect.Device)) return;
        _devices.Connected(connect.Device, connect.Epoch);
        Hear(new ClusterProtocol.DeviceConnected(connect.Epoch, connect.Device));
        var position = PositionsOf(connect.Layout)[connect.Device];
        if (position is not { Stage: 0, Rank: 0 }) return;
        var key = (connect.Epoch, position.Replica);
        // Of a change that was given up meanwhile nothing is made: the present one has other replicas and pages.
        if (!_replicas.ContainsKey(key) && _state.Phase is ChangingPhase { Change: var change }
            && change.Epoch == connect.Epoch)
        {
            var replica = NewReplica(connect, position.Replica, change.Decision.Pages[position.Replica]);
            _replicas.Add(key, replica);
            foreach (var device in replica.Devices) _replicaOn.Add((replica.Epoch, device), replica);
        }

        Hear(new PlannerInputs.LeaderStarted(
            connect.Epoch, position.Replica, new ReplicaAddress(connect.Epoch, position.Replica)));
    }

    /// <summary>Of all devices of the layout that is connected: each of them asks for its own.</summary>
    private Dictionary<DeviceId, Position> PositionsOf(Layout layout)
    {
        if (_placed is not { } placed || !ReferenceEquals(placed.Layout, layout))
            _placed = placed = (layout, layout.Positions.ToDictionary(layout.DeviceAt));
        return placed.Positions;
    }

    private void Drop(LiveReplica replica)
    {
        _replicas.Remove((replica.Epoch, replica.Index));
        foreach (var device in replica.Devices) _replicaOn.Remove((replica.Epoch, device));
    }

    private LiveReplica NewReplica(PlannerEffect.Connect connect, int replica, int pages)
    {
        var layout = connect.Layout;
        var stages = layout.PositionsOf(replica).Where(position => position.Rank == 0)
            .Select(position => new StageShape(
                layout.LayersOf(position).Count,
                _kinds[layout.DeviceAt(position).Node],
                SpansInstances(layout, position)));
        var shape = new ReplicaShape([.. stages], layout.Degrees.Ranks);
        var load = new Workload(1, _setup.PromptTokens, _setup.OutputTokens);
        return new LiveReplica(
            connect.Epoch, replica, layout,
            new ContinuousReplica(
                _time, size => _setup.Cost.Cost(shape, size, load, Batching.Continuous),
                _setup.Planner.SequencesMax, pages, _setup.PromptTokens, _completed, _roomMade),
            connect.Origin is { } origin ? origin.Expects[replica] : []);
    }

    private static bool SpansInstances(Layout layout, Position first) =>
        Enumerable.Range(0, layout.Degrees.Ranks)
            .Select(rank => layout.DeviceAt(first with { Rank = rank }).Node).Distinct().Skip(1).Any();
}
