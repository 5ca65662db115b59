using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// Nodes and replicas that do what the live planner's core tells them, on virtual time. The core is the one that runs
/// live, unchanged: it hears the same messages and decides the same.
/// </summary>
internal sealed class LiveCluster
{
    private const double AnswerSeconds = 0.002, BusyBeatSeconds = 0.1, ReportSeconds = 0.5;

    private readonly VirtualTime _time;
    private readonly LiveSetup _setup;
    private readonly PlannerCore _core;
    private readonly SliceGeometry _geometry;
    private readonly SimulatedDevices _devices;
    private readonly SortedDictionary<string, NodeInfo> _nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DeviceKind> _kinds = new(StringComparer.Ordinal);
    private readonly SortedDictionary<(Epoch Epoch, int Replica), LiveReplica> _replicas = [];
    private readonly LiveHandover _handover;
    private readonly LiveRecord _record;
    private readonly Action<IEnumerable<SimulatedRequest>> _requeue;
    private readonly Action _roomMade;
    private readonly Action<SimulatedRequest> _completed;
    private readonly Func<GatewayDemand> _demand;
    private PlannerState _state;
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
        _core = new PlannerCore(setup.Planner);
        (_state, var effects) = _core.Begin(JournalState.Empty, Now);
        foreach (var effect in effects) Do(effect);
        Hear(new PlannerInputs.GatewayReported(GatewayAddress.One));
    }

    public LiveRecord Record => _record;

    /// <summary>Replicas that take requests now, in order.</summary>
    public IEnumerable<ContinuousReplica> Accepting =>
        _replicas.Values.Where(replica => replica.Serving.Accepts).Select(replica => replica.Serving);

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
        if (!_nodes.Remove(node)) return;
        _devices.Remove(node);
        foreach (var replica in _replicas.Values.Where(replica => replica.Uses(node)).ToList())
        {
            _replicas.Remove((replica.Epoch, replica.Index));
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
            foreach (var node in _nodes.Values) Report(node);
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
            var generated = serving.TokensGenerated + serving.Cached().Sum(request => (long)request.Decoded);
            Hear(new ReplicaControlProtocol.ReplicaLoad(
                replica.Epoch, replica.Index, 0, serving.Count, replica.Layout.Degrees.BatchSize, 0, 0, 0, generated,
                0));
        }
    }

    private void Later(double seconds, object message) => _time.At(_time.Now + seconds, () => Hear(message));

    private void Hear(object message)
    {
        (_state, var effects) = _core.Step(_state, message, Now);
        foreach (var effect in effects) Do(effect);
        var active = _state.Active;
        foreach (var replica in _replicas.Values)
        {
            replica.Serving.Accepts = replica.Held is null && active?.Epoch == replica.Epoch
                && active.Replicas.ContainsKey(replica.Index);
        }

        _roomMade();
    }

    private void Do(PlannerEffect effect)
    {
        switch (effect)
        {
            case PlannerEffect.Persist { Event: var happened }:
                _record.Happened(happened, _nodes.Count, _state.LostAllAt);
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
        var position = connect.Layout.PositionOf(connect.Device);
        if (position is not { Stage: 0, Rank: 0 }) return;
        var key = (connect.Epoch, position.Replica);
        if (!_replicas.ContainsKey(key) && _state.Phase is ChangingPhase { Change: var change })
        {
            _replicas.Add(key, NewReplica(connect, position.Replica, change.Decision.Pages[position.Replica]));
        }

        Hear(new PlannerInputs.LeaderStarted(
            connect.Epoch, position.Replica, new ReplicaAddress(connect.Epoch, position.Replica)));
    }

    private LiveReplica NewReplica(PlannerEffect.Connect connect, int replica, int pages)
    {
        var layout = connect.Layout;
        var stages = layout.Positions.Where(position => position.Replica == replica && position.Rank == 0)
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

    private void BeginHandover(LiveReplica old, PlannerEffect.BeginHandover begin)
    {
        if (old.TargetEpoch == begin.NewEpoch) return;
        (old.Targets, old.TargetEpoch) = (begin.Targets, begin.NewEpoch);
        var over = _handover.CopyFullPages(old, begin.NewEpoch, _replicas);
        _time.At(over, () => Hear(new HandoverProtocol.HandoverReady(old.Epoch, old.Index, begin.NewEpoch)));
    }

    private void Command(LiveReplica replica, object message)
    {
        switch (message)
        {
            case ReplicaControlProtocol.GetReplicaCache:
                var cached = (replica.Held is { } held
                    ? held.Where(entry => entry.HasCache).Select(entry => entry.Request.Cached)
                    : replica.Serving.Cached()).ToImmutableArray();
                Later(
                    AnswerSeconds,
                    new ReplicaControlProtocol.ReplicaCacheReport(replica.Epoch, replica.Index, cached));
                break;
            case ReplicaControlProtocol.Drain:
                replica.Held ??= replica.Serving.Stop();
                Later(AnswerSeconds, new ReplicaControlProtocol.Drained(replica.Epoch, replica.Index, []));
                if (!replica.Targets.IsEmpty) HandOver(replica);
                break;
            case HandoverProtocol.CancelHandover:
                (replica.Targets, replica.TargetEpoch) = ([], Epoch.None);
                break;
            case HandoverProtocol.ServeNow:
                _time.At(_time.Now + AnswerSeconds, () => Serve(replica));
                break;
            default:
                break;
        }
    }

    private void HandOver(LiveReplica old)
    {
        var (held, epoch) = (old.Held!, old.TargetEpoch);
        old.Held = [];
        GiveBack(held.Where(entry => !entry.HasCache));
        var targets = old.Targets;
        var home = targets.FirstOrDefault(target => target.IsHome) ?? targets[0];
        var going = held.Where(entry => entry.HasCache).Select(entry => entry.Request).GroupBy(request =>
            (targets.FirstOrDefault(target => target.Requests.Contains(request.Cached.Id)) ?? home).NewReplica)
            .ToDictionary(group => group.Key, group => group.ToList());
        foreach (var target in targets)
        {
            var requests = going.GetValueOrDefault(target.NewReplica, []);
            if (!_replicas.TryGetValue((epoch, target.NewReplica), out var heir))
            {
                GiveBack(requests.Select(request => (request, true)));
                continue;
            }

            _time.At(_handover.CopyTails(old, heir, requests), () =>
            {
                heir.Arrived.AddRange(requests);
                heir.HandedOver.Add(old.Index);
                if (heir.Expects.All(heir.HandedOver.Contains)) Serve(heir);
            });
        }
    }

    /// <summary>A new replica goes on with what it was handed; what does not fit is computed anew.</summary>
    private void Serve(LiveReplica replica)
    {
        var requests = replica.Arrived.ToList();
        replica.Arrived.Clear();
        var taken = requests.TakeWhile(replica.Serving.HasRoomFor).ToList();
        var count = 0;
        foreach (var request in requests)
        {
            if (!replica.Serving.HasRoomFor(request)) break;
            replica.Serving.Adopt(request);
            count++;
        }

        GiveBack(requests.Skip(count).Select(request => (request, true)));
        Invariant.Holds(taken.Count == 0 || count > 0);
        if (replica.Serves) return;
        replica.Serves = true;
        Hear(new HandoverProtocol.ReplicaServes(replica.Epoch, replica.Index, count, requests.Count - count, 0, 0));
    }

    private void Release(ClusterProtocol.ReleasePosition release)
    {
        _devices.Release(release.Device, release.Epoch, release.Trim);
        foreach (var replica in _replicas.Values.Where(replica => replica.Epoch == release.Epoch).ToList())
        {
            if (!replica.Layout.Positions.Any(position => position.Replica == replica.Index
                && replica.Layout.DeviceAt(position) == release.Device)) continue;
            _replicas.Remove((replica.Epoch, replica.Index));
            var left = replica.Held ?? replica.Serving.Stop();
            GiveBack(left.Concat(replica.Arrived.Select(request => (request, true))));
        }

        Later(AnswerSeconds, new ClusterProtocol.PositionReleased(release.Epoch, release.Device));
    }

    private void GiveBack(IEnumerable<(SimulatedRequest Request, bool HasCache)> left)
    {
        var list = left.ToList();
        foreach (var (request, _) in list.Where(entry => entry.HasCache)) request.LoseCache();
        _requeue(list.Select(entry => entry.Request));
    }
}
