using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Cluster singleton that decides who serves what, as a reconcile loop: whatever happened, nodes report what they hold,
/// and the next layout starts from there. States: Gathering (nothing serves, too few nodes) or Serving; on a loss, a
/// notice, a join or an operator's wish Planning (holdings come in), PreCopying (devices get ready while the old layout
/// serves), CuttingOver (the old replicas stop, the rest moves), Releasing (memory is given back), Serving. A failure
/// in any of them leads to Planning.
/// </summary>
public sealed partial class PlannerActor : ReceivePersistentActor, IWithTimers
{
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(50);

    private readonly PlannerOptions _options;
    private readonly TimeProvider _clock;
    private readonly IMembership _membership;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly List<ReconfigurationRecord> _timeline = [];
    private readonly Dictionary<int, IActorRef> _replicas = [];
    private readonly Dictionary<int, ReplicaControlProtocol.ReplicaLoad> _loads = [];
    private Epoch _epoch = Epoch.None;
    private long _term;
    private ServingEpoch? _serving;
    private LayoutChange? _change;
    private PlannerPhase _phase = PlannerPhase.Gathering;
    private string _detail = "waiting for nodes";
    private (string Cause, DateTimeOffset At)? _wish;
    private int _failedInARow;
    private DateTimeOffset _since;
    private DateTimeOffset _repeatAt;

    public PlannerActor(PlannerOptions options, TimeProvider clock, IMembership membership)
    {
        _options = options;
        _clock = clock;
        _membership = membership;
        _wanted = options.Wanted;
        _separations = new Separations(options.Apart, options.ApartMax, options.Doubt);
        RecoversFromJournal();
        Gathering();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public override string PersistenceId => "planner";

    private DateTimeOffset Now => _clock.GetUtcNow();

    private ModelSpec? Model => _nodes.Values.FirstOrDefault()?.Model;

    public static Props Props(PlannerOptions options, TimeProvider clock, IMembership? membership = null) =>
        Akka.Actor.Props.Create(() => new PlannerActor(options, clock, membership ?? AkkaMembership.Instance));

    protected override void PreStart()
    {
        _since = Now;
        Timers.StartPeriodicTimer(nameof(Tick), Tick.Instance, TickInterval);
        _membership.Subscribe(Context, Self);
    }

    private void Gathering()
    {
        Command<Tick>(_ => OnGatheringTick());
        Common();
    }

    private void Serving()
    {
        Command<Tick>(_ => OnIdleTick());
        Common();
    }

    private void Planning()
    {
        Command<NodeHoldings>(answer => answer.Round == _round, OnHoldings);
        Command<ReplicaControlProtocol.ReplicaCacheReport>(OnReplicaCache);
        Command<Tick>(_ => OnPlanningTick());
        Common();
    }

    private void PreCopying()
    {
        Command<DeviceLoading>(IsOfChange, OnDeviceLoading);
        Command<DevicePrepared>(IsOfChange, OnDevicePrepared);
        Command<DeviceConnected>(IsOfChange, OnDeviceConnected);
        Command<ReplicaStarted>(IsOfChange, OnReplicaStarted);
        Command<PositionReleased>(OnStoppedFirst);
        Command<HandoverProtocol.HandoverReady>(ready => ready.NewEpoch == _change!.Epoch, OnHandoverReady);
        Command<Tick>(_ => OnPreCopyingTick());
        Common();
    }

    private void CuttingOver()
    {
        Command<HandoverProtocol.ReplicaServes>(serves => serves.Epoch == _change!.Epoch, OnReplicaServes);
        Command<ReplicaControlProtocol.Drained>(OnDrained);
        Command<Tick>(_ => OnCuttingOverTick());
        Common();
    }

    private void Releasing()
    {
        Command<PositionReleased>(released => released.Epoch < _epoch, OnReleased);
        Command<Tick>(_ => OnReleasingTick());
        Common();
    }

    private void Common()
    {
        Command<RegisterNode>(OnRegisterNode);
        Command<NodeNotice>(OnNotice);
        Command<PreemptNode>(OnPreemptNode);
        Command<ChangeLayout>(OnChangeLayout);
        Command<GetTimeline>(_ => Sender.Tell(TimelineNow()));
        Command<RegisterGateway>(OnRegisterGateway);
        // Not published at once: gateways register every second, and the view that answers them has the loads.
        Command<ReplicaControlProtocol.ReplicaLoad>(OnReplicaLoad);
        Command<DeviceFailed>(OnDeviceFailed);
        Command<ReplicaControlProtocol.ReplicaLost>(lost => OnReplicaLost(lost));
        Command<MemberLost>(lost => OnMemberLost(lost));
        Command<MemberSuspected>(suspected => OnMemberSuspected(suspected));
        Command<MemberUnreachable>(OnMemberUnreachable);
        Command<MemberLeaving>(OnMemberLeaving);
        Command<Terminated>(message => _gateways.Remove(message.ActorRef));
        Command<IEpochMessage>(late => _log.Debug("Ignored {0} while {1}: epoch is now {2}", late, _phase, _epoch));
        Command<HandoverProtocol.IMessage>(late => _log.Debug("Ignored {0} while {1}", late, _phase));
        Command<ReplicaControlProtocol.IEvent>(late => _log.Debug("Ignored {0} while {1}", late, _phase));
        Command<NodeHoldings>(_ => { });
        Command<DeleteMessagesFailure>(OnNotDeleted);
        Command<DeleteMessagesSuccess>(_ => { });
    }

    private bool IsOfChange(IEpochMessage message) => message.Epoch == _change!.Epoch;

    private void OnGatheringTick()
    {
        DropSilentNodes();
        if (_wish is not null)
        {
            OnIdleTick();
            return;
        }

        var devices = Staying().Sum(node => node.Devices.Length);
        var complete = devices >= _options.DevicesExpected
            || _serving?.Layout.Placement.All(device => _nodes.ContainsKey(device.Node)) == true;   // after a restart
        var waited = Now - _since;
        var waitMax = _serving is null ? _options.GatherMax : _options.NodeSilenceMax;
        if (devices > 0 && (complete || waited >= waitMax)) BeginPlanning("the first nodes are there");
        else Detail($"waiting for nodes: {devices} of {_options.DevicesExpected} devices");
    }

    private void OnIdleTick()
    {
        DropSilentNodes();
        ReleaseLeavingNodes();
        ReuniteWhenTheirTimeIsOver();
        if (_wish is { } wish && Now >= wish.At) BeginPlanning(wish.Cause);
    }

    /// <summary>Has the cluster planned anew, now or once what is under way is over.</summary>
    private void Wish(string cause, TimeSpan delay)
    {
        var at = Now + delay;
        if (_wish is { } wish && wish.At <= at) return;
        _wish = (cause, at);
        if (delay == TimeSpan.Zero && _phase is PlannerPhase.Serving or PlannerPhase.Gathering) BeginPlanning(cause);
    }

    private void Enter(PlannerPhase phase, string detail, Action behaviour)
    {
        _phase = phase;
        _detail = detail;
        _repeatAt = Now + _options.RepeatAfter;
        _change?.Enter(phase.ToString(), Now);
        _log.Info("{0}: {1}", phase, detail);
        Become(behaviour);
        Publish();
    }

    /// <summary>Back to the state in which nothing is under way.</summary>
    private void EnterIdle(string detail)
    {
        if (_serving is { } serving && _replicas.Count > 0)
        {
            Enter(PlannerPhase.Serving, $"serving {Model?.Name} on {serving.Layout.Degrees}, {serving.Epoch}", Serving);
        }
        else
        {
            _since = Now;
            Enter(PlannerPhase.Gathering, detail, Gathering);
        }
    }

    private void Detail(string detail)
    {
        if (_detail == detail) return;
        _detail = detail;
        _log.Info("{0}", detail);
        Publish();
    }

    private void Publish()
    {
        var view = View();
        foreach (var gateway in _gateways) gateway.Tell(view);
    }

    private PlannerView View() => new(
        _epoch, _phase, _detail, Model, _change?.Layout ?? _serving?.Layout, _serving?.Epoch ?? Epoch.None,
        [.. _replicas.OrderBy(pair => pair.Key).Select(pair => new ServingReplica(pair.Key, pair.Value))],
        [.. _nodes.Values.Select(node => node.Info)],
        _change?.Progress ?? [])
    {
        Term = _term,
        Loads = [.. _loads.OrderBy(pair => pair.Key).Select(pair => pair.Value)],
        Leaving = _notices.ToImmutableDictionary(),
    };

    private Timeline TimelineNow() => new(_change is null
        ? [.. _timeline]
        : [.. _timeline, _change.Record(ReconfigurationRecord.UnderWay, Now)]);

    private void OnReplicaLoad(ReplicaControlProtocol.ReplicaLoad load)
    {
        if (load.Epoch == _serving?.Epoch) _loads[load.Replica] = load;
    }

    private sealed record Tick
    {
        public static Tick Instance { get; } = new();
    }
}
