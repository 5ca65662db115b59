using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Actors.Replica;

/// <summary>
/// One replica of one epoch: feeds its pipeline with the steps that the scheduler plans, and its requests' entities
/// with the tokens that come back. Speaks <see cref="ReplicaProtocol"/> with entities and
/// <see cref="ReplicaControlProtocol"/> with its parent and the planner. Owns the pipeline: disposes it when it stops.
/// </summary>
/// <remarks>
/// States: Receiving (only where older replicas hand sequences over) -> Serving -> Draining (steps in flight complete)
/// -> Drained; Lost from any of them when the pipeline breaks.
/// Its parent's strategy must stop it on a failure and escalate an <see cref="InvariantException"/>; a restart makes no
/// sense without a pipeline, and is answered by <see cref="ReplicaControlProtocol.ReplicaLost"/>.
/// </remarks>
internal sealed partial class ReplicaActor : ReceiveActor, IWithTimers
{
    private const int ReasonsToldMax = 32;

    private readonly Epoch _epoch;
    private readonly int _replica;
    private readonly SchedulerLimits _limits;
    private readonly ReplicaSettings _settings;
    private readonly IStepPipeline _pipeline;
    private readonly ReplicaScheduler _scheduler;
    private readonly StepPlan _plan = new();
    private readonly Subscribers _subscribers;
    private readonly FinishedRequests _finished;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly LargeMessages _large = LargeMessages.Of(Context.System);
    private readonly HashSet<string> _told = [];
    private readonly ResumedTally _resumed = new();
    private readonly ReplicaMeter _meter;
    private readonly ReplicaSpans _spans;
    private readonly RunningTime _running = new();
    private RequestId? _askedFor;
    private long _stepsCompleted;
    private long _stepsCompletedAtTick;
    private int _ticksWithoutResult;
    private Adopted _adopted = new(0, 0, 0);

    /// <param name="expects">Replicas of the epoch before that hand sequences over to this one.</param>
    public ReplicaActor(
        Epoch epoch,
        int replicaIndex,
        SchedulerLimits limits,
        IStepPipeline pipeline,
        ReplicaSettings settings,
        IReadOnlyList<int> expects)
    {
        _epoch = epoch;
        _replica = replicaIndex;
        _limits = limits;
        _settings = settings;
        _pipeline = pipeline;
        _scheduler = new ReplicaScheduler(limits);
        var time = Context.System.Scheduler;
        _meter = new ReplicaMeter(() => time.MonotonicClock);
        _spans = new ReplicaSpans(epoch, replicaIndex);
        _subscribers = new Subscribers(epoch, Context, Self);
        _finished = new FinishedRequests(settings.FinishedRequestsMax);
        _copies = new PageCopyQueue(epoch, Context.Parent, Self);
        if (expects.Count == 0)
        {
            Become(Serving);
            return;
        }

        _incoming = new IncomingHandover(epoch, expects, limits.PageCount, _copies, Self);
        Become(Receiving);
    }

    public ITimerScheduler Timers { get; set; } = null!;

    /// <param name="pipeline">Not started yet. The actor owns it from here on.</param>
    /// <param name="expects">Replicas of the epoch before that hand sequences over to this one; none by
    /// default.</param>
    public static Props Props(
        Epoch epoch,
        int replicaIndex,
        SchedulerLimits limits,
        IStepPipeline pipeline,
        ReplicaSettings? settings = null,
        IReadOnlyList<int>? expects = null) => Akka.Actor.Props.Create(() => new ReplicaActor(
            epoch, replicaIndex, limits, pipeline, settings ?? ReplicaSettings.Default, expects ?? Array.Empty<int>()));

    protected override void PreStart()
    {
        // The callbacks run on the pipeline's thread: they may touch these two values and nothing of the actor.
        var self = Self;
        var epoch = _epoch;
        _pipeline.Start(
            result => self.Tell(new StepCompleted(epoch, result), ActorRefs.NoSender),
            error => self.Tell(new PipelineLost(epoch, error.Message), ActorRefs.NoSender));
        Timers.StartPeriodicTimer(nameof(ReportLoad), new ReportLoad(_epoch), _settings.LoadPeriod);
        Timers.StartPeriodicTimer(nameof(StillHere), StillHere.Instance, _settings.StillHerePeriod);
    }

    protected override void PostStop()
    {
        _pipeline.Dispose();
        _meter.Dispose();
        RejectAll($"replica {_replica} of {_epoch} stopped", isLoss: false);
    }

    protected override void PostRestart(Exception reason)
    {
        Context.Parent.Tell(new ReplicaControlProtocol.ReplicaLost(_epoch, _replica, reason.Message));
        Context.Stop(Self);
    }

    private void Serving()
    {
        Receive<ReplicaProtocol.Submit>(OnSubmit);
        Receive<ReplicaProtocol.RunAlone>(OnRunAlone);
        // Where the one that goes held up all others, no step is under way whose end would let them go on.
        Receive<ReplicaProtocol.Cancel>(cancel =>
        {
            OnCancel(cancel);
            PlanSteps();
        });
        Receive<OrphanExpired>(expired =>
        {
            OnOrphanExpired(expired);
            PlanSteps();
        });
        Receive<StillHere>(_ => SayWhatWaits());
        Receive<ReplicaControlProtocol.Drain>(IsCurrent, OnDrain);
        Receive<StepCompleted>(OnStepCompleted);
        Receive<PipelineLost>(lost => OnPipelineLost(lost.Reason, []));
        Receive<ReplicaControlProtocol.GetReplicaCache>(IsCurrent, _ => Answer(Sender, CacheReport()));
        ReceiveHandover();
        ReceiveAlways();
    }

    private void Draining(HashSet<IActorRef> waiting)
    {
        Receive<ReplicaProtocol.Submit>(OnSubmitWhileDraining);
        Receive<ReplicaControlProtocol.Drain>(IsCurrent, _ => waiting.Add(Sender));
        Receive<StepCompleted>(completed =>
        {
            Publish(Complete(completed.Step));
            FinishDraining(waiting);
        });
        Receive<PipelineLost>(lost => OnPipelineLost(lost.Reason, waiting));
        ReceiveHandover();
        ReceiveAlways();
    }

    private void Drained()
    {
        Receive<ReplicaProtocol.Submit>(submit => Reject(submit, "it is drained; submit to the next epoch"));
        Receive<ReplicaControlProtocol.Drain>(IsCurrent, _ =>
        {
            HandOver();
            Answer(Sender, DrainedAnswer());
        });
        Receive<PipelineLost>(lost => OnPipelineLost(lost.Reason, []));
        ReceiveHandover();
        ReceiveAlways();
    }

    private void Lost(ReplicaControlProtocol.ReplicaLost answer)
    {
        Receive<ReplicaProtocol.Submit>(submit => OnSubmitWhenLost(submit, answer.Reason));
        Receive<ReplicaControlProtocol.ICommand>(IsCurrent, _ => Sender.Tell(answer));
        Receive<ReplicaControlProtocol.ICommand>(OnStale);
        // What was on its way when the pipeline broke. The tokens are drawn again elsewhere, and are the same there.
        Receive<ReplicaProtocol.Cancel>(_ => { });
        Receive<ReplicaProtocol.RunAlone>(_ => { });
        Receive<IInternal>(_ => { });
        Receive<Terminated>(_ => { });
    }

    private void ReceiveAlways()
    {
        Receive<ReplicaProtocol.Cancel>(OnCancel);
        Receive<ReplicaProtocol.RunAlone>(_ => { });   // It drains.
        Receive<ReplicaControlProtocol.GetReplicaLoad>(IsCurrent, _ => Sender.Tell(Load()));
        Receive<ReplicaControlProtocol.GetReplicaCache>(IsCurrent, _ => Sender.Tell(
            new ReplicaControlProtocol.ReplicaLost(_epoch, _replica, "it does not serve")));
        Receive<ReplicaControlProtocol.ICommand>(OnStale);
        Receive<ReportLoad>(_ => OnReportLoad());
        Receive<ResumedToldLately>(_ => TellOfResumed());
        Receive<StillHere>(_ => { });
        Receive<OrphanExpired>(OnOrphanExpired);
        Receive<Terminated>(OnTerminated);
    }

    /// <summary>An answer that lists requests. One that cannot be sent is asked for again.</summary>
    private void Answer(IActorRef asker, ReplicaControlProtocol.IEvent answer)
    {
        if (_large.Tell(asker, answer, Self) is { } refusal)
            _log.Warning("Replica {Replica} could not answer {Asker}: {Reason}", _replica, asker, refusal.Reason);
    }

    private bool IsCurrent(ReplicaControlProtocol.ICommand command) => command.Epoch == _epoch;

    private void OnStale(ReplicaControlProtocol.ICommand command) =>
        _log.Debug("Ignored {0}: this replica serves {1}", command, _epoch);

    private void OnStepCompleted(StepCompleted completed)
    {
        var outcomes = Complete(completed.Step);
        PlanSteps(); // Before telling anyone: the devices should not wait for the mail.
        Publish(outcomes);
        if (_scheduler.UnexplainedEndsInARow < _settings.UnexplainedEndsMax) return;
        Self.Tell(new PipelineLost(
            _epoch, $"{_settings.UnexplainedEndsMax} requests in a row failed alone: the engine is taken for broken"));
    }

    private ReadOnlySpan<SequenceOutcome> Complete(StepResult result)
    {
        _stepsCompleted++;
        if (result.Failure is { } failure) Note(result.StepId, failure);
        return _scheduler.Complete(result);
    }

    /// <summary>Where it came from is told once for each reason: clients can make steps fail as often as they
    /// like.</summary>
    private void Note(long step, StepFailure failure)
    {
        ReplicaMetrics.FailedSteps.Add(1);
        var isNew = failure.Trace.Length > 0 && _told.Count < ReasonsToldMax && _told.Add(failure.Reason);
        var trace = isNew ? $"\n{failure.Trace}" : "";
        _log.Warning("Step {Step} of {Epoch} failed: {Reason}{Trace}", step, _epoch, failure.Reason, trace);
    }

    private void PlanSteps()
    {
        try
        {
            while (_scheduler.TryPlan(_plan))
            {
                _meter.OnPlanned(_plan, _scheduler.Admitted);
                _pipeline.Submit(_plan);
            }

            Advance();
            AskForPermit(isReport: false);
        }
        catch (Exception error) when (error is PeerLostException or EngineLostException)
        {
            // As a message, so that what this handler still has to do is done before the state changes.
            Self.Tell(new PipelineLost(_epoch, error.Message));
        }
    }

    private void Publish(ReadOnlySpan<SequenceOutcome> outcomes)
    {
        foreach (var outcome in outcomes)
        {
            if (outcome.Finished == FinishReason.Cancelled) continue; // Nobody asks any more.
            _meter.OnOutcome(outcome);
            _spans.OnOutcome(outcome);
            var id = outcome.Sequence.Id;
            if (outcome.Error is { } error)
            {
                _log.Warning("{Id} is ended: {Reason}", id, error);
                _subscribers.Tell(Ended(id, error));
                _finished.Add(outcome.Sequence, FinishReason.Failed, error);
                Forget(id);
                continue;
            }

            ImmutableArray<int> tokens = outcome.Token is { } token ? [token] : [];
            if (!tokens.IsEmpty) _resumed.OnToken(id);
            var generated = new ReplicaProtocol.TokensGenerated(_epoch, id, outcome.Index, tokens, outcome.Finished)
            {
                Logprobs = outcome.Logprobs is { } logprobs ? [logprobs] : [],
                ReusedTokens = outcome.Index == 0 ? outcome.Sequence.ReusedTokens : 0,
                PromptLogprobs = outcome.Index == 0 ? [.. outcome.Sequence.PromptLogprobs] : [],
            };
            _subscribers.Gather(generated);
            if (outcome.Finished is not { } reason) continue;
            _finished.Add(outcome.Sequence, reason);
            Forget(id);
        }

        _subscribers.SendGathered();
        TellOfResumed();
    }

    /// <summary>That requests go on after a loss is told at once, of many at a time together: the planner shows how
    /// long they stood still.</summary>
    private void TellOfResumed()
    {
        if (!_resumed.HasNews || Timers.IsTimerActive(nameof(ResumedToldLately))) return;
        Timers.StartSingleTimer(
            nameof(ResumedToldLately), new ResumedToldLately(_epoch), TimeSpan.FromMilliseconds(100));
        Context.Parent.Tell(Load());
    }

    private void OnDrain(ReplicaControlProtocol.Drain drain)
    {
        _log.Info("Replica {0} of {1} drains: {2} steps in flight", _replica, _epoch, _scheduler.StepsInFlightCount);
        HashSet<IActorRef> waiting = [Sender];
        Become(() => Draining(waiting));
        FinishDraining(waiting);
    }

    private void FinishDraining(HashSet<IActorRef> waiting)
    {
        if (_scheduler.StepsInFlightCount > 0) return;
        _scheduler.CheckLaws();
        HandOver();
        foreach (var asker in waiting) Answer(asker, DrainedAnswer());
        Become(Drained);
    }

    private ReplicaControlProtocol.Drained DrainedAnswer() => new(_epoch, _replica);

    private void OnPipelineLost(string reason, HashSet<IActorRef> waiting)
    {
        var lost = new ReplicaControlProtocol.ReplicaLost(_epoch, _replica, reason);
        _log.Warning("Replica {0} of {1} lost its pipeline: {2}", _replica, _epoch, reason);
        _outgoing?.Abandon();
        foreach (var (submit, sender) in _held) sender.Tell(new ReplicaProtocol.Rejected(_epoch, submit.Id, reason));
        _held.Clear();
        RejectAll(reason, isLoss: true);
        _meter.Dispose();
        Timers.CancelAll();
        Context.Parent.Tell(lost);
        foreach (var asker in waiting.Where(asker => !asker.Equals(Context.Parent))) asker.Tell(lost);
        Become(() => Lost(lost));
    }

    private void OnReportLoad()
    {
        _scheduler.CheckLaws();
        var load = Load();
        _meter.Show(load);
        Context.Parent.Tell(load);
        AskForPermit(isReport: true);
        var waits = _scheduler.StepsInFlightCount > 0 && _stepsCompleted == _stepsCompletedAtTick;
        _ticksWithoutResult = waits ? _ticksWithoutResult + 1 : 0;
        _stepsCompletedAtTick = _stepsCompleted;
        if (_ticksWithoutResult * _settings.LoadPeriod < _settings.StepTimeout) return;
        _ticksWithoutResult = 0;
        Self.Tell(new PipelineLost(_epoch, $"no step completed within {_settings.StepTimeout.TotalSeconds:F0} s"));
    }

    private void Advance() => _running.Advance(Context.System.Scheduler.MonotonicClock, _scheduler.RunningCount);

    private ReplicaControlProtocol.ReplicaLoad Load() => new(
        _epoch,
        _replica,
        _scheduler.WaitingCount,
        _scheduler.RunningCount,
        _limits.SequencesMax,
        _scheduler.FreePageCount,
        _limits.PageCount,
        _scheduler.StepCount,
        _scheduler.TokensGenerated,
        _scheduler.Suspensions)
    {
        SequenceTime = _running.Sequences,
        BusyTime = _running.Busy,
        TokensRecomputed = _scheduler.TokensRecomputed,
        PrefixQueries = _scheduler.PrefixQueries,
        PrefixHits = _scheduler.PrefixHits,
        KeptPages = _scheduler.IdlePageCount,
        Resumed = _resumed.Report(),
    };

    private interface IInternal;

    private sealed record StepCompleted(Epoch Epoch, StepResult Step) : IInternal;

    private sealed record StillHere : IInternal
    {
        public static StillHere Instance { get; } = new();
    }

    private sealed record PipelineLost(Epoch Epoch, string Reason) : IInternal;

    private sealed record ReportLoad(Epoch Epoch) : IInternal;

    private sealed record ResumedToldLately(Epoch Epoch) : IInternal;

    private sealed record OrphanExpired(Epoch Epoch, RequestId Id) : IInternal;
}
