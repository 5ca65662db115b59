using System.Collections.Immutable;
using System.Diagnostics;
using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;
using static SpotServe.Actors.Cluster.PlannerEvents;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Cluster singleton that decides who serves what. States in order of life: Gathering (waiting for enough nodes),
/// Loading (devices read weights), Connecting (devices link up), Serving; after any loss Settling (survivors report
/// themselves), then Loading again: it plans from what is there, never from what it believes.
/// </summary>
public sealed partial class PlannerActor : ReceivePersistentActor, IWithTimers
{
    private readonly PlannerOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<string, RegisteredNode> _nodes = [];
    private readonly HashSet<IActorRef> _gateways = [];
    private readonly Dictionary<DeviceId, DeviceProgress> _progress = [];
    private readonly HashSet<DeviceId> _waitingFor = [];
    private readonly Dictionary<int, IActorRef> _replicas = [];
    private readonly Dictionary<int, ReplicaLoad> _loads = [];
    private Epoch _epoch = Epoch.None;
    private LayoutChoice.Chosen? _plan;
    private PlannerPhase _phase = PlannerPhase.Gathering;
    private string _detail = "waiting for nodes";
    private string _cause = "first nodes";
    private int _failedInARow;
    private DateTimeOffset _since;
    private DateTimeOffset _progressAt;

    public PlannerActor(PlannerOptions options, TimeProvider clock)
    {
        _options = options;
        _clock = clock;
        Recover<LayoutDecided>(decided => _epoch = decided.Epoch);
        Recover<LayoutActivated>(_ => { });
        Gathering();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public override string PersistenceId => "planner";

    /// <summary>
    /// Doubles, up to 32 times, while layouts fail before they serve: what is broken stays broken for a while.
    /// </summary>
    private TimeSpan SettleTime => _options.Settle * (1 << Math.Clamp(_failedInARow - 1, 0, 5));

    private ModelSpec? Model => _nodes.Values.FirstOrDefault()?.Model;

    public static Props Props(PlannerOptions options, TimeProvider clock) =>
        Akka.Actor.Props.Create(() => new PlannerActor(options, clock));

    protected override void PreStart()
    {
        _since = _clock.GetUtcNow();
        Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, TimeSpan.FromMilliseconds(250));
        Akka.Cluster.Cluster.Get(Context.System).Subscribe(
            Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
            typeof(ClusterEvent.IMemberEvent), typeof(ClusterEvent.UnreachableMember));
    }

    protected override void PostStop() => Akka.Cluster.Cluster.Get(Context.System).Unsubscribe(Self);

    private void Gathering()
    {
        Common();
        Command<Tick>(_ => OnGatheringTick());
        Command<IEpochMessage>(late => _log.Debug("Ignored {Message} while gathering", late));
    }

    private void Settling()
    {
        Common();
        Command<Tick>(_ => OnSettlingTick());
        Command<IEpochMessage>(late => _log.Debug("Ignored {Message} while settling", late));
    }

    private void Loading()
    {
        Common();
        Command<DeviceLoading>(IsCurrent, OnDeviceLoading);
        Command<DeviceLoaded>(IsCurrent, OnDeviceLoaded);
        Command<DeviceFailed>(IsCurrent, OnDeviceFailed);
        Command<Tick>(_ => OnProgressTick("loading"));
        Command<IEpochMessage>(stale => _log.Debug("Ignored {Message}: epoch is now {Epoch}", stale, _epoch));
    }

    private void Connecting()
    {
        Common();
        Command<DeviceConnected>(IsCurrent, OnDeviceConnected);
        Command<ReplicaStarted>(IsCurrent, OnReplicaStarted);
        Command<DeviceFailed>(IsCurrent, OnDeviceFailed);
        Command<Tick>(_ => OnProgressTick("connecting"));
        Command<IEpochMessage>(stale => _log.Debug("Ignored {Message}: epoch is now {Epoch}", stale, _epoch));
    }

    private void Serving()
    {
        Common();
        Command<DeviceFailed>(IsCurrent, OnDeviceFailed);
        Command<Tick>(_ => OnServingTick());
        Command<IEpochMessage>(stale => _log.Debug("Ignored {Message}: epoch is now {Epoch}", stale, _epoch));
    }

    private void Common()
    {
        Command<RegisterNode>(OnRegisterNode);
        Command<RegisterGateway>(OnRegisterGateway);
        // Not published at once: gateways register every second, and the view that answers them has the loads.
        Command<ReplicaLoad>(load => load.Epoch == _epoch, load => _loads[load.Replica] = load);
        Command<ReplicaLoad>(_ => { });
        Command<Terminated>(message => _gateways.Remove(message.ActorRef));
        Command<ClusterEvent.MemberRemoved>(message => OnMemberLost(message.Member, "was removed from the cluster"));
        Command<ClusterEvent.MemberDowned>(message => OnMemberLost(message.Member, "was downed"));
        Command<ClusterEvent.UnreachableMember>(message => OnMemberLost(message.Member, "is unreachable"));
        Command<ClusterEvent.IMemberEvent>(_ => { });
    }

    private bool IsCurrent(IEpochMessage message) => message.Epoch == _epoch;

    /// <summary>
    /// Leaves the current layout. Survivors have <see cref="PlannerOptions.Settle"/> to report again.
    /// </summary>
    private void Replan(string cause)
    {
        _log.Info("Planning anew: {Cause}", cause);
        _failedInARow = _phase == PlannerPhase.Serving ? 0 : _failedInARow + 1;
        _cause = cause;
        _plan = null;
        _since = _clock.GetUtcNow();
        Enter(PlannerPhase.Gathering, $"planning anew: {cause}", Settling);
    }

    private void OnGatheringTick()
    {
        DropSilentNodes();
        var devices = _nodes.Values.Sum(node => node.Info.Devices.Length);
        var waitedEnough = _clock.GetUtcNow() - _since >= _options.GatherMax;
        if (devices >= _options.DevicesExpected || (devices > 0 && waitedEnough)) Choose(_nodes.Values);
        else Detail($"waiting for nodes: {devices} of {_options.DevicesExpected} devices");
    }

    private void OnSettlingTick()
    {
        DropSilentNodes();
        if (_clock.GetUtcNow() - _since < SettleTime) return;
        // Whoever was silent so far is forgotten until it reports, or its devices would look like free ones.
        var silentNodes = _nodes.Values.Where(node => node.SeenAt <= _since).Select(node => node.Info.Node);
        foreach (var silent in silentNodes.ToArray())
        {
            Lose(silent, $"node {silent} did not report after the loss");
        }

        Choose(_nodes.Values);
    }

    private void Choose(IEnumerable<RegisteredNode> candidates)
    {
        // Name order makes the placement the same whoever registered first.
        var nodes = candidates.Select(node => node.Info).OrderBy(node => node.Node, StringComparer.Ordinal).ToArray();
        switch (nodes.Length == 0 ? null : LayoutChoice.For(_options, Model!, nodes))
        {
            case null:
                Detail("no layout fits: no node has reported");
                break;
            case LayoutChoice.Impossible impossible:
                Detail($"no layout fits: {impossible.Reason}");
                break;
            case LayoutChoice.Chosen chosen:
                Decide(chosen);
                break;
            default:
                throw new UnreachableException();
        }
    }

    private void Decide(LayoutChoice.Chosen chosen) =>
        Persist(new LayoutDecided(_epoch.Next, _clock.GetUtcNow(), _cause, chosen.Layout), decided =>
        {
            _epoch = decided.Epoch;
            _plan = chosen;
            _log.Info("Epoch {Epoch}: {Layout} because {Cause}", _epoch, chosen.Layout.Degrees, decided.Cause);
            StartLoading(chosen);
        });

    private void StartLoading(LayoutChoice.Chosen plan)
    {
        _replicas.Clear();
        _loads.Clear();
        _progress.Clear();
        _waitingFor.Clear();
        var layout = plan.Layout;
        foreach (var position in layout.Positions)
        {
            var device = layout.DeviceAt(position);
            if (!_nodes.TryGetValue(device.Node, out var node))
            {
                Replan($"node {device.Node} was lost before loading");
                return;
            }

            _waitingFor.Add(device);
            _progress[device] = new DeviceProgress(device, position, 0, 0);
            node.Actor.Tell(new LoadPosition(_epoch, device, new StageAssignment(
                _epoch, position, layout.LayersOf(position), layout.Degrees.Stages, layout.Degrees.Ranks,
                plan.PagesPerReplica[position.Replica], _options.StepTokensMax, layout.Degrees.BatchSize)));
        }

        foreach (var idle in _nodes.Values) ReleaseIdle(idle, layout);
        Enter(PlannerPhase.Loading, $"loading weights for {layout.Degrees}", Loading);
    }

    private void ReleaseIdle(RegisteredNode node, Layout layout)
    {
        foreach (var device in node.Info.Devices.Select(device => new DeviceId(node.Info.Node, device.Index)))
        {
            if (!layout.Placement.Contains(device)) node.Actor.Tell(new ReleasePosition(_epoch, device));
        }
    }

    private void OnDeviceLoading(DeviceLoading message)
    {
        if (!_progress.TryGetValue(message.Device, out var before)) return;
        _progressAt = _clock.GetUtcNow();
        _progress[message.Device] = before with { LoadedBytes = message.LoadedBytes, TotalBytes = message.TotalBytes };
        Publish();
    }

    private void OnDeviceLoaded(DeviceLoaded message)
    {
        _progressAt = _clock.GetUtcNow();
        if (!_waitingFor.Remove(message.Device)) return;
        _log.Info("{Device} loaded its weights in {Seconds:0.00} s", message.Device, message.Seconds);
        Publish();
        if (_waitingFor.Count > 0) return;
        var layout = _plan!.Layout;
        var endpoints = layout.Placement.Select(device => device.Node).Distinct()
            .ToImmutableDictionary(name => name, name => _nodes[name].Info.Endpoint);
        foreach (var device in layout.Placement)
        {
            _waitingFor.Add(device);
            _nodes[device.Node].Actor.Tell(new ConnectPosition(_epoch, device, layout, endpoints, Model!.ContextMax));
        }

        Enter(PlannerPhase.Connecting, $"connecting {layout.Degrees}", Connecting);
    }

    private void OnDeviceConnected(DeviceConnected message)
    {
        _progressAt = _clock.GetUtcNow();
        _waitingFor.Remove(message.Device);
        ServeWhenComplete();
    }

    private void OnReplicaStarted(ReplicaStarted message)
    {
        _progressAt = _clock.GetUtcNow();
        _replicas[message.Replica] = message.ReplicaActor;
        ServeWhenComplete();
    }

    private void ServeWhenComplete()
    {
        var layout = _plan!.Layout;
        if (_waitingFor.Count > 0 || _replicas.Count < layout.Degrees.Replicas) return;
        Persist(new LayoutActivated(_epoch, _clock.GetUtcNow()), _ =>
            Enter(PlannerPhase.Serving, $"serving {Model!.Name} on {layout.Degrees}, epoch {_epoch}", Serving));
    }

    private void OnDeviceFailed(DeviceFailed message) => Replan($"device {message.Device} reported: {message.Reason}");

    private void OnProgressTick(string doing)
    {
        DropSilentNodes();
        if (_plan is not null && _clock.GetUtcNow() - _progressAt > _options.ProgressMax)
        {
            Replan($"{doing} made no progress for {_options.ProgressMax.TotalSeconds:0} s");
        }
    }

    private void OnServingTick()
    {
        DropSilentNodes();
        if (_plan is null || _options.Wanted is not { } wanted || _plan.Layout.Degrees == wanted) return;
        var devices = _nodes.Values.Sum(node => node.Info.Devices.Length);
        if (LayoutConstraints.Violation(wanted, Model!.LayerCount, Model.HeadCount, devices) is null)
        {
            Replan($"there are devices again for the wanted layout {wanted}");
        }
    }

    private void Enter(PlannerPhase phase, string detail, Action behaviour)
    {
        _phase = phase;
        _detail = detail;
        _progressAt = _clock.GetUtcNow();
        Become(behaviour);
        Publish();
    }

    private void Detail(string detail)
    {
        if (_detail == detail) return;
        _detail = detail;
        _log.Info("{Detail}", detail);
        Publish();
    }

    private void Publish()
    {
        var view = View();
        foreach (var gateway in _gateways) gateway.Tell(view);
    }

    private PlannerView View() => new(
        _epoch, _phase, _detail, Model, _plan?.Layout,
        _phase == PlannerPhase.Serving ? [.. _replicas.OrderBy(pair => pair.Key).Select(pair => pair.Value)] : [],
        [.. _nodes.Values.Select(node => node.Info)],
        [.. _progress.Values])
    {
        Loads = [.. _loads.OrderBy(pair => pair.Key).Select(pair => pair.Value)],
    };

    private sealed record Tick
    {
        public static Tick Instance { get; } = new();
    }
}
