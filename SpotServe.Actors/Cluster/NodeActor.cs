using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// One per node process: reports the node and its devices to the planner, and passes the planner's commands to the
/// shard actor of the device that they name.
/// </summary>
internal sealed class NodeActor : ReceiveActor, IWithTimers
{
    /// <summary>From the first layout until the node tells unasked what it holds.</summary>
    private static readonly TimeSpan RehearsalDelay = TimeSpan.FromSeconds(3);

    /// <summary>No question has this number.</summary>
    private const long UnaskedRound = 0;

    private readonly ModelSpec _model;
    private readonly IActorRef _planner;
    private readonly Action<string> _onUnfit;
    private readonly Action<string> _onReleased;
    private readonly TimeProvider _clock;
    private readonly ImmutableArray<IActorRef> _shards;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly LargeMessages _large = LargeMessages.Of(Context.System);
    private readonly SenderGuard _guard;
    private readonly Dictionary<long, HoldingsRound> _rounds = [];
    private readonly Dictionary<(DeviceId Device, Epoch Epoch), DeviceFailed> _failures = [];
    private NodeInfo _node;
    private long _term;
    private PreemptionNotice? _notice;

    /// <summary>The planner that asked last, itself: what goes by its proxy cannot go in fragments.</summary>
    private IActorRef _asker = ActorRefs.Nobody;

    private bool _hasRehearsed;

    /// <param name="planner">Proxy of the planner singleton.</param>
    /// <param name="shardProps">Props of the shard actor of a device, by device index.</param>
    /// <param name="onUnfit">Called when this node can serve no more, with the reason: the planner will never take it,
    /// no device is left, or a bug showed. The process then ends.</param>
    /// <param name="onReleased">Called when the planner says that nothing needs this node any more.</param>
    public NodeActor(
        NodeInfo node,
        ModelSpec model,
        IActorRef planner,
        Func<int, Props> shardProps,
        Action<string> onUnfit,
        Action<string> onReleased,
        TimeProvider clock)
    {
        _node = node;
        _model = model;
        _planner = planner;
        _onUnfit = onUnfit;
        _onReleased = onReleased;
        _clock = clock;
        _guard = new SenderGuard(Context.System, clock);
        _shards = [.. node.Devices.Select(device =>
            Context.Watch(Context.ActorOf(shardProps(device.Index), $"shard-{device.Index}")))];
        Receive<Report>(_ => OnReport());
        Receive<Rehearse>(_ => AskDevices(UnaskedRound, _asker));
        Receive<IPlannerCommand>(
            command => command.Term < _term,
            stale => _guard.Refuse(stale, Sender, $"the planner of term {stale.Term} is over"));
        Receive<GetHoldings>(OnGetHoldings);
        Receive<DeviceHoldings>(OnDeviceHoldings);
        Receive<IDeviceCommand>(OnDeviceCommand);
        Receive<PreemptNode>(OnPreempt);
        Receive<PreemptionNotice>(OnNotice);
        Receive<NodeReleased>(OnReleased);
        Receive<NodeRefused>(OnRefused);
        Receive<ShardActor.Probed>(probed =>
        {
            _node = _node with { Rates = probed.Rates };
            OnReport();
        });
        Receive<WeightsHashed>(hashed =>
        {
            _node = _node with { WeightsHash = hashed.Hash };
            OnReport();
        });
        Receive<DeviceFailed>(OnDeviceFailed);   // from shards, as all that follow
        Receive<DeviceConnected>(OnDeviceConnected);
        Receive<IEpochMessage>(_planner.Forward);
        Receive<ReplicaControlProtocol.IEvent>(_planner.Forward);
        Receive<HandoverProtocol.IMessage>(_planner.Forward);
        Receive<Terminated>(stopped => OnDeviceLost(_shards.IndexOf(stopped.ActorRef)));
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override bool AroundReceive(Receive receive, object message) =>
        !_guard.Passes(message, Sender) || base.AroundReceive(receive, message);

    protected override void PreStart()
    {
        Context.System.EventStream.Subscribe(Self, typeof(WeightsHashed));
        Timers.StartPeriodicTimer(nameof(Report), Report.Instance, TimeSpan.Zero, RegisterNode.Interval);
    }

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(
        maxNrOfRetries: 3,
        withinTimeRange: TimeSpan.FromMinutes(1),
        localOnlyDecider: error => error switch
        {
            InvariantException bug => Break(bug),   // never restarted over
            Execution.EngineLostException => Directive.Stop,   // only a new process can use the device again
            _ => Directive.Restart,
        });

    private Directive Break(InvariantException bug)
    {
        _onUnfit($"this is a bug: {bug.Message}");
        return Directive.Stop;
    }

    private void OnDeviceLost(int index)
    {
        // Reports go on without it, so that no plan counts on it again.
        _node = _node with { Devices = _node.Devices.RemoveAll(device => device.Index == index) };
        _log.Error("Device {Index} is lost; {Count} are left", index, _node.Devices.Length);
        OnReport();
        if (_node.Devices.IsEmpty) _onUnfit("no device is left that works; the log says what happened to each");
    }

    private void OnReport()
    {
        _planner.Tell(new RegisterNode(_node, _model, Self));
        // Until the planner has acted on it, a notice is part of every report: one that is lost costs half a second.
        if (_notice is { } notice) _planner.Tell(new NodeNotice(_node.Node, notice.Deadline, notice.Source));
        // So is a failure: without it the planner would believe for ever that the epoch serves.
        foreach (var failed in _failures.Values) _planner.Tell(failed);
    }

    private void OnDeviceFailed(DeviceFailed failed)
    {
        _failures[(failed.Device, failed.Epoch)] = failed;
        _planner.Forward(failed);
    }

    private void OnDeviceCommand(IDeviceCommand command)
    {
        if (command is IPlannerCommand { Term: var term }) _term = term;
        if (_node.Devices.All(device => device.Index != command.Device.Index))
        {
            OnCommandToLostDevice(command);
            return;
        }

        if (command is ReleasePosition or PreparePosition)
        {
            foreach (var known in _failures.Keys.ToArray())
            {
                if (known.Device == command.Device && known.Epoch <= command.Epoch) _failures.Remove(known);
            }
        }

        ShardOf(command.Device.Index).Forward(command);
    }

    /// <summary>The planner did not know yet; without an answer it would wait for what cannot come.</summary>
    private void OnCommandToLostDevice(IDeviceCommand command)
    {
        const string Reason = "the device is lost; only a new process can use it again";
        switch (command)
        {
            case PreparePosition or ConnectPosition:
                OnDeviceFailed(new DeviceFailed(command.Epoch, command.Device, Reason, null));
                break;
            case ReleasePosition:
                foreach (var known in _failures.Keys.ToArray())
                {
                    if (known.Device == command.Device && known.Epoch <= command.Epoch) _failures.Remove(known);
                }

                _planner.Tell(new PositionReleased(command.Epoch, command.Device));
                break;
            case CopyDevicePages copy:
                Sender.Tell(new DevicePagesLost(copy.Epoch, copy.Job, copy.Device, Reason));
                break;
            case CancelDevicePages cancel:
                Sender.Tell(new DevicePagesLost(cancel.Epoch, cancel.Job, cancel.Device, Reason));
                break;
            default:
                _log.Debug("Ignored {Command}: the device is lost", command);
                break;
        }
    }

    private void OnGetHoldings(GetHoldings question)
    {
        _term = question.Term;
        if (_node.Devices.IsEmpty)
        {
            Sender.Tell(new NodeHoldings(question.Round, _node.Node, []));
            return;
        }

        // Only the newest question is of interest to anyone.
        _rounds.Clear();
        _asker = Sender;
        AskDevices(question.Round, Sender);
    }

    private void AskDevices(long round, IActorRef asker)
    {
        _rounds[round] = new HoldingsRound(asker);
        foreach (var device in _node.Devices) _shards[device.Index].Tell(new GetHoldings(round) { Term = _term });
    }

    /// <summary>The first time that a node says what it serves takes it up to 100 ms, as its code is compiled then. So
    /// that this is not when a machine was lost and all wait for this node's answer, it answers once unasked; the
    /// planner takes no answer of that round.</summary>
    private void OnDeviceConnected(DeviceConnected connected)
    {
        _planner.Forward(connected);
        if (_hasRehearsed) return;
        _hasRehearsed = true;
        Timers.StartSingleTimer(nameof(Rehearse), Rehearse.Instance, RehearsalDelay);
    }

    private void OnDeviceHoldings(DeviceHoldings answer)
    {
        foreach (var (number, round) in _rounds.ToArray())
        {
            round.Answers[answer.Device] = answer;
            var isComplete = _node.Devices.All(
                device => round.Answers.ContainsKey(new DeviceId(_node.Node, device.Index)));
            if (!isComplete) continue;
            var holdings = new NodeHoldings(number, _node.Node, [.. round.Answers.Values]);
            // The planner asks again.
            if (_large.Tell(round.Asker, holdings, Self) is { } refusal)
                _log.Warning("What this node holds could not be told: {Reason}", refusal.Reason);
            _rounds.Remove(number);
        }
    }

    /// <summary>The process hears of it on the event stream, starts leaving, and gives it back to this actor.</summary>
    private void OnPreempt(PreemptNode command)
    {
        _term = command.Term;
        Context.System.EventStream.Publish(new PreemptionNotice(_clock.GetUtcNow() + command.Grace, command.Source));
    }

    private void OnReleased(NodeReleased released)
    {
        _term = released.Term;
        if (_notice is not null && released.Node == _node.Node) _onReleased("nothing in the cluster needs it");
    }

    private void OnRefused(NodeRefused refused)
    {
        _term = refused.Term;
        _log.Error("Refused by the planner: {Reason}", refused.Reason);
        _onUnfit(refused.Reason);
    }

    private void OnNotice(PreemptionNotice notice)
    {
        if (_notice is { } known && known.Deadline <= notice.Deadline) return;
        _notice = notice;
        OnReport();
    }

    private IActorRef ShardOf(int index)
    {
        Invariant.Holds(index >= 0 && index < _shards.Length);
        return _shards[index];
    }

    private sealed record Rehearse : INoSerializationVerificationNeeded
    {
        public static Rehearse Instance { get; } = new();
    }

    private sealed record HoldingsRound(IActorRef Asker)
    {
        public Dictionary<DeviceId, DeviceHoldings> Answers { get; } = [];
    }

    private sealed record Report
    {
        public static Report Instance { get; } = new();
    }
}
