using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Cluster singleton around the <see cref="PlannerCore"/>: its mailbox, its journal, its clock and its way to send.
/// What it is told becomes a step of the core; what follows an entry of the journal is done once that is written.
/// </summary>
internal sealed class PlannerActor : ReceivePersistentActor, IWithTimers
{
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(50);

    private readonly PlannerCore _core;
    private readonly ViewFeed _views;
    private readonly TimeProvider _clock;
    private readonly IMembership _membership;
    private readonly JournalHealth _health;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly PlannerPost _post = new(Context.System, Context.Self);
    private readonly SenderGuard _guard;
    private readonly PlannerMeter _meter = new();
    private JournalState _journal = JournalState.Empty;
    private PlannerState? _state;
    private bool _hasRehearsed;

    /// <summary>Sequence number of the last checkpoint; 0 when there is none.</summary>
    private long _checkpointAt;

    public PlannerActor(PlannerOptions options, TimeProvider clock, IMembership membership, JournalHealth health)
    {
        _health = health;
        _core = new PlannerCore(options);
        _views = new ViewFeed(_post);
        _clock = clock;
        _membership = membership;
        _guard = new SenderGuard(Context.System, clock);
        Recover<PlannerEvents.IPlannerEvent>(OnRecovered);
        Recover<DamagedEntry>(OnDamaged);
        Recover<RecoveryCompleted>(_ => Take(_core.Begin(_journal, _clock.GetUtcNow())));
        Hears();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public override string PersistenceId => "planner";

    private PlannerState State => _state ?? throw new InvariantException("nothing is heard before the journal is read");

    /// <param name="health">Is told when the planner's own journal fails or is damaged.</param>
    public static Props Props(
        PlannerOptions options, TimeProvider clock, IMembership? membership = null, JournalHealth? health = null) =>
        Akka.Actor.Props.Create(() => new PlannerActor(
            options, clock, membership ?? AkkaMembership.Instance, health ?? new JournalHealth()));

    protected override bool AroundReceive(Receive receive, object message) =>
        !_guard.Passes(message, Sender, _state is { } state ? ReplicaWords.NodeOf(state, message) : null)
            || base.AroundReceive(receive, message);

    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(nameof(PlannerInputs.Tick), PlannerInputs.Tick.Instance, TickInterval);
        _membership.Subscribe(Context, Self);
    }

    protected override void PostStop()
    {
        _meter.Dispose();
        base.PostStop();
    }

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistFailure(cause, @event, sequenceNr);
        if (!JournalConflict.IsIn(cause)) _health.Failed(cause.Message);
    }

    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        base.OnRecoveryFailure(reason, message);
        if (JournalHealth.DamageIn(reason) is { } damage) _health.PlannerDamaged(damage);
    }

    private void Hears()
    {
        // Messages with actors in them.
        Command<RegisterNode>(message => Step(PlannerMessages.Input(message)));
        Command<NodeHoldings>(message => Step(PlannerMessages.Input(message)));
        Command<ReplicaStarted>(message => Step(PlannerMessages.Input(message)));
        Command<RegisterGateway>(OnGateway);
        Command<Terminated>(gone => Step(new PlannerInputs.GatewayGone(new ActorAddress(gone.ActorRef))));
        Command<GatewayLoad>(
            load => Step(new PlannerInputs.DemandReported(new ActorAddress(load.Gateway), load.Demand)));
        Command<ChangeObjective>(
            command => Step(new PlannerInputs.ObjectiveAsked(command.Objective, new ActorAddress(Sender))));
        Command<ChangeLayout>(
            command => Step(new PlannerInputs.LayoutAsked(command.Wanted, new ActorAddress(Sender))));
        Command<PreemptNode>(command => Step(new PlannerInputs.PreemptionAsked(command, new ActorAddress(Sender))));
        Command<GetTimeline>(_ => _post.Send(Sender, PlannerMessages.Timeline(State, _clock.GetUtcNow())));
        Command<GetFleet>(_ => _post.Send(Sender, PlannerMessages.Fleet(State)));
        Command<GetPlanningInputs>(_ => _post.Send(
            Sender, new PlanningInputsTold(PlanningInputsJson.Write(_core.Record(State, _clock.GetUtcNow())))));
        // Messages that the core takes as they are.
        Command<PlannerInputs.Tick>(Step);
        Command<NodeNotice>(Step);
        Command<IEpochMessage>(Step);
        Command<HandoverProtocol.IMessage>(Step);
        Command<ReplicaControlProtocol.IEvent>(Step);
        Command<MemberLost>(Step);
        Command<MemberSuspected>(Step);
        Command<MemberRefuses>(Step);
        Command<MemberUnreachable>(Step);
        Command<MemberLeaving>(Step);
        // The journal.
        Command<DeleteMessagesFailure>(failure => _log.Warning(
            "Old entries of the planner's journal stay until the next checkpoint: {Reason}", failure.Cause.Message));
        Command<DeleteMessagesSuccess>(_ => { });
    }

    private void OnRecovered(PlannerEvents.IPlannerEvent happened)
    {
        _journal = _journal.Apply(happened);
        if (happened is PlannerEvents.PlannerCheckpoint) _checkpointAt = LastSequenceNr;
    }

    private void OnDamaged(DamagedEntry entry)
    {
        _journal = _journal.Without(entry.SequenceNumber);
        _log.Error("{Where}: the planner goes on without it", entry.Where);
        _health.PlannerLost(entry);
    }

    private void OnGateway(RegisterGateway message)
    {
        Context.Watch(message.Gateway);
        var gateway = new ActorAddress(message.Gateway);
        _views.OnRegistered(gateway, message.Known);
        Step(new PlannerInputs.GatewayReported(gateway));
    }

    private void Step(object happened) => Take(_core.Step(State, happened, _clock.GetUtcNow()));

    /// <summary>While an entry is being written the mailbox rests, so that nobody sees a state that may never
    /// be.</summary>
    private void Take((PlannerState State, ImmutableArray<PlannerEffect> Effects) next)
    {
        _meter.OnStep(_state, next.State);
        _state = next.State;
        Do(next.Effects, 0);
        if (_hasRehearsed || next.State.Phase is not Serving) return;
        _hasRehearsed = true;
        Rehearsal.Run(_core, next.State, _clock.GetUtcNow());
    }

    private void Do(ImmutableArray<PlannerEffect> effects, int first)
    {
        var next = first;
        while (next < effects.Length && effects[next] is not PlannerEffect.Persist) Do(effects[next++]);
        if (next == effects.Length) return;
        Persist(((PlannerEffect.Persist)effects[next]).Event, written =>
        {
            _meter.OnWritten(written);
            if (written is PlannerEvents.PlannerCheckpoint) DeleteOldEntries();
            Do(effects, next + 1);
        });
    }

    private void Do(PlannerEffect effect)
    {
        switch (effect)
        {
            case PlannerEffect.Send send:
                _post.Send(ActorAddress.ActorOf(send.To), send.Message);
                break;
            case PlannerEffect.Connect connect:
                _post.Send(ActorAddress.ActorOf(connect.To), PlannerMessages.Message(connect));
                break;
            case PlannerEffect.BeginHandover begin:
                _post.Send(ActorAddress.ActorOf(begin.To), PlannerMessages.Message(begin));
                break;
            case PlannerEffect.Publish:
                _views.Publish(State);
                break;
            case PlannerEffect.Show show:
                _views.Answer(show.Gateway, State);
                break;
            case PlannerEffect.Log log:
                Write(log);
                break;
            default:
                throw new InvariantException($"nobody does {effect}");
        }
    }

    private void Write(PlannerEffect.Log log) => _log.Log(
        log.Severity switch
        {
            LogSeverity.Debug => LogLevel.DebugLevel,
            LogSeverity.Info => LogLevel.InfoLevel,
            _ => LogLevel.WarningLevel,
        },
        null,
        log.Template,
        [.. log.Values]);

    /// <summary>What a checkpoint makes needless is deleted at the one after it: until then the journal refuses a
    /// planner that was replaced meanwhile.</summary>
    private void DeleteOldEntries()
    {
        var before = _checkpointAt;
        _checkpointAt = LastSequenceNr;
        if (before > 0) DeleteMessages(before - 1);
    }
}
