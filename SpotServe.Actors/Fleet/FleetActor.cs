using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Persistence;
using static SpotServe.Actors.Fleet.FleetEvents;
using static SpotServe.Actors.Fleet.FleetProtocol;

namespace SpotServe.Actors.Fleet;

/// <summary>
/// Cluster singleton around the <see cref="FleetCore"/>: its mailbox, its journal, its clock, its calls to the cloud
/// and
/// its questions to the planner. What is to be done is done once the decision is in the journal.
/// </summary>
internal sealed class FleetActor : ReceivePersistentActor, IWithTimers
{
    private const int CheckpointEvery = 200;
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(500);

    private readonly FleetLimits _limits;
    private readonly FleetCore _core;
    private readonly ICloud _cloud;
    private readonly Func<IActorRef> _planner;
    private readonly TimeProvider _clock;
    private readonly JournalHealth _health;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly LargeMessages _large = LargeMessages.Of(Context.System);
    private readonly SenderGuard _guard;
    private readonly CancellationTokenSource _stopped = new();
    private FleetJournal _journal = FleetJournal.Empty;
    private FleetState? _state;

    /// <summary>Sequence number of the last checkpoint; 0 when there is none.</summary>
    private long _checkpointAt;

    /// <param name="planner">The singleton's proxy, which may start after this actor.</param>
    public FleetActor(
        FleetLimits limits, ICloud cloud, Func<IActorRef> planner, TimeProvider clock, JournalHealth health)
    {
        _limits = limits;
        _core = new FleetCore(limits);
        _cloud = cloud;
        _planner = planner;
        _clock = clock;
        _health = health;
        _guard = new SenderGuard(Context.System, clock);
        Recover<IFleetEvent>(OnRecovered);
        Recover<DamagedEntry>(entry => _log.Error("{Where}: the fleet manager goes on without it", entry.Where));
        Recover<RecoveryCompleted>(_ => Take(_core.Begin(_journal, _clock.GetUtcNow())));
        Hears();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public override string PersistenceId => "fleet";

    private FleetState State => _state ?? throw new InvariantException("nothing is heard before the journal is read");

    public static Props Props(
        FleetLimits limits, ICloud cloud, Func<IActorRef> planner, TimeProvider clock, JournalHealth health) =>
        Akka.Actor.Props.Create(() => new FleetActor(limits, cloud, planner, clock, health));

    protected override bool AroundReceive(Receive receive, object message) =>
        !_guard.Passes(message, Sender) || base.AroundReceive(receive, message);

    protected override void PreStart() => Timers.StartPeriodicTimer(
        nameof(FleetInputs.Tick), FleetInputs.Tick.Instance, TickInterval);

    protected override void PostStop()
    {
        _stopped.Cancel();
        _stopped.Dispose();
        base.PostStop();
    }

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistFailure(cause, @event, sequenceNr);
        if (!JournalConflict.IsIn(cause)) _health.Failed(cause.Message);
    }

    private void Hears()
    {
        Command<FleetInputs.Tick>(OnTick);
        Command<ClusterProtocol.FleetTold>(told => Step(FleetMessages.Input(told)));
        Command<ClusterProtocol.OperatorAnswer>(answer =>
        {
            if (answer.Refusal is { } refusal) _log.Warning("A node was not told to leave: {Refusal}", refusal);
        });
        Command<FleetInputs.Listed>(Step);
        Command<FleetInputs.ListFailed>(failed => StepAfter(failed, "list machines", failed.Reason));
        Command<FleetInputs.PricesTold>(Step);
        Command<FleetInputs.PricesFailed>(failed => StepAfter(failed, "tell prices", failed.Reason));
        Command<FleetInputs.OrderAnswered>(OnOrder);
        Command<FleetInputs.TerminationAnswered>(answered =>
        {
            if (answered.Failure is { } failure)
                _log.Warning("{Cloud} did not stop {Machine}: {Reason}", _cloud.Name, answered.Machine, failure);
            Step(answered);
        });
        Command<GetFleetReport>(_ => Answer(FleetMessages.Report(State, _limits, _cloud.Name, _clock.GetUtcNow())));
        Command<ChangeSize>(OnChangeSize);
        Command<DeleteMessagesSuccess>(_ => { });
        Command<DeleteMessagesFailure>(failure => _log.Warning(
            "Old entries of the fleet's journal stay until the next checkpoint: {Reason}", failure.Cause.Message));
    }

    private void OnTick(FleetInputs.Tick tick)
    {
        _planner().Tell(new ClusterProtocol.GetFleet(), Self);
        Step(tick);
    }

    private void OnOrder(FleetInputs.OrderAnswered answered)
    {
        switch (answered.Outcome)
        {
            case LaunchOutcome.Throttled throttled:
                _log.Warning("{Cloud} was asked too much: {Reason}", _cloud.Name, throttled.Reason);
                break;
            case LaunchOutcome.Unknown unknown:
                _log.Warning("What became of {Order} is not known: {Reason}", answered.Token, unknown.Reason);
                break;
            default:
                break;   // A decision, which is told when it is written.
        }

        Step(answered);
    }

    private void OnChangeSize(ChangeSize change)
    {
        var size = (change.IsMore ? State.Journal.Chosen ?? State.Journal.MachinesMin : 0) + (long)change.Machines;
        if (size < 0 || size > _limits.MachinesMax)
        {
            var refusal = $"The fleet may have 0 to {_limits.MachinesMax} machines; {size} were asked for.";
            Answer(new SizeAnswer(State.Journal.Chosen ?? State.Journal.MachinesMin, refusal));
            return;
        }

        var sender = Sender;
        Take(_core.Step(State, new FleetInputs.SizeAsked((int)size), _clock.GetUtcNow()));
        DeferAsync(new SizeAnswer((int)size, null), answer => sender.Tell(answer, Self));
    }

    private void OnRecovered(IFleetEvent happened)
    {
        _journal = _journal.Apply(happened);
        if (happened is FleetCheckpoint) _checkpointAt = LastSequenceNr;
    }

    private void StepAfter(object failed, string what, string reason)
    {
        _log.Warning("{Cloud} did not {What}: {Reason}", _cloud.Name, what, reason);
        Step(failed);
    }

    private void Step(object happened) => Take(_core.Step(State, happened, _clock.GetUtcNow()));

    /// <summary>While entries are written the mailbox rests.</summary>
    private void Take(FleetStep step)
    {
        _state = step.State;
        if (step.Events.IsEmpty)
        {
            Do(step.Effects);
            return;
        }

        var left = step.Events.Length;
        PersistAll(step.Events, _ =>
        {
            if (--left > 0) return;
            foreach (var decision in State.Journal.Decisions.TakeLast(step.Events.Length))
                _log.Info("{What}: {Why}", decision.What, decision.Reason);
            Do(step.Effects);
            Checkpoint();
        });
    }

    private void Checkpoint()
    {
        if (LastSequenceNr - _checkpointAt < CheckpointEvery) return;
        Persist(State.Journal.Checkpoint(_clock.GetUtcNow()), _ =>
        {
            // What this one makes needless goes at the next: until then the journal refuses a replaced manager.
            var before = _checkpointAt;
            _checkpointAt = LastSequenceNr;
            if (before > 0) DeleteMessages(before - 1);
        });
    }

    private void Do(ImmutableArray<FleetEffect> effects)
    {
        foreach (var effect in effects) Do(effect);
    }

    private void Do(FleetEffect effect)
    {
        switch (effect)
        {
            case FleetEffect.Launch launch:
                Call(cancel => _cloud.LaunchAsync(launch.Order, cancel)).PipeTo(
                    Self,
                    Self,
                    outcome => new FleetInputs.OrderAnswered(launch.Order.Token, outcome),
                    error => new FleetInputs.OrderAnswered(
                        launch.Order.Token, new LaunchOutcome.Unknown(Why(error))));
                break;
            case FleetEffect.Terminate terminate:
                Call(cancel => Done(_cloud.TerminateAsync(terminate.Machine, cancel))).PipeTo(
                    Self,
                    Self,
                    _ => new FleetInputs.TerminationAnswered(terminate.Machine, null),
                    error => new FleetInputs.TerminationAnswered(terminate.Machine, Why(error)));
                break;
            case FleetEffect.List:
                var askedAt = _clock.GetUtcNow();
                Call(cancel => _cloud.ListAsync(_limits.Cluster, cancel)).PipeTo(
                    Self,
                    Self,
                    machines => new FleetInputs.Listed(askedAt, machines),
                    error => new FleetInputs.ListFailed(Why(error)));
                break;
            case FleetEffect.AskPrices:
                Call(cancel => _cloud.PricesAsync(_limits.Pools, cancel)).PipeTo(
                    Self,
                    Self,
                    prices => new FleetInputs.PricesTold(prices),
                    error => new FleetInputs.PricesFailed(Why(error)));
                break;
            case FleetEffect.Drain drain:
                _planner().Tell(new ClusterProtocol.PreemptNode(drain.Node, drain.Grace, "fleet"), Self);
                break;
            default:
                throw new InvariantException($"nobody does {effect}");
        }
    }

    /// <summary>Each call has a limit of its own, so that one is under way at most once and never for ever.</summary>
    private async Task<T> Call<T>(Func<CancellationToken, Task<T>> call)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopped.Token);
        limit.CancelAfter(_limits.CallMax);
        return await call(limit.Token).WaitAsync(_limits.CallMax, _clock, _stopped.Token).ConfigureAwait(false);
    }

    private static async Task<bool> Done(Task task)
    {
        await task.ConfigureAwait(false);
        return true;
    }

    private static string Why(Exception error) =>
        error is TimeoutException or OperationCanceledException ? "it did not answer in time" : error.Message;

    private void Answer(object answer)
    {
        if (_large.Tell(Sender, answer, Self) is { } refusal)
            _log.Warning("{Answer} could not be sent: {Reason}", answer.GetType().Name, refusal.Reason);
    }
}
