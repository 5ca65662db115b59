using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster.Sharding;
using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fragments;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Requests.RequestEvents;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Requests;

/// <summary>
/// One request, the truth about it: prompt, parameters, committed tokens. States in order of life: Unborn (nothing
/// accepted), Open (a replica generates, or a route to one is awaited), Ended (readable until its retention is over);
/// Damaged (its journal cannot be read) is one for good.
/// Tokens are shown only once they are in the journal; while one write is under way the next tokens gather, so the
/// journal sets the batch size by itself.
/// </summary>
internal sealed partial class RequestEntity : ReceivePersistentActor, IWithTimers
{
    private readonly RequestOptions _options;
    private readonly TimeProvider _clock;
    private readonly IActorRef _gateway;
    private readonly RequestId _id;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly LargeMessages _large = LargeMessages.Of(Context.System);
    private readonly SenderGuard _guard;
    private readonly RequestState _state = new();
    private readonly RequestMeter _meter;
    private TokenIntake _intake = new(0);
    private StopCut _stop = new(search: null);
    private Routed? _route;
    private RequestFinished? _ending;
    private IActorRef? _acceptedFor;
    private int _reusedTokens;
    private ImmutableArray<TokenLogprobs> _promptLogprobs = [];
    private bool _writing;
    private bool _asksForRoute;
    private bool _isHandedOver;
    private bool _isRejected;
    private (Epoch Epoch, IActorRef Replica)? _ranOn;
    private long _heard;
    private long _heardAtCheck = -1;

    public RequestEntity(RequestId id, RequestOptions options, TimeProvider clock, IActorRef gateway)
    {
        _id = id;
        _options = options;
        _clock = clock;
        _gateway = gateway;
        _meter = new RequestMeter(clock);
        _guard = new SenderGuard(Context.System, clock);
        Recover<IRequestEvent>(OnReplayed);
        Recover<DamagedEntry>(OnDamaged);
        Recover<RecoveryCompleted>(_ => OnRecovered());
        Unborn();
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public override string PersistenceId => $"request-{_id.Value}";

    /// <summary>All that is known of a request are its events: no database is asked for a snapshot.</summary>
    public override Recovery Recovery { get; } = new(SnapshotSelectionCriteria.None);

    public static Props Props(RequestId id, RequestOptions options, TimeProvider clock, IActorRef gateway) =>
        Made.By(() => new RequestEntity(id, options, clock, gateway));

    private void Unborn()
    {
        Command<Accept>(OnAccept);
        Command<Locate>(_ => OnLocateUnborn());
        Command<NeverAccepted>(_ => Leave());
        Command<Subscribe>(_ => AnswerUnknown());
        Command<Describe>(_ => AnswerUnknown());
        Command<CancelRequest>(_ => AnswerUnknown());
        Command<Wake>(_ => Leave());
        Command<Unsubscribe>(_ => { });
        Command<IMessage>(message => _log.Debug("{Id} does not exist and ignores {Message}", _id, message));
        Command<ReplicaProtocol.IEvent>(_ => { });
    }

    private void Open()
    {
        Command<Locate>(_ => Sender.Tell(new Located(_id)));
        Command<Accept>(_ => Sender.Tell(new Accepted(_id, _state.Accepted!.At)));
        Command<Describe>(_ => OnDescribe());
        Command<Wake>(_ => { });
        Command<Subscribe>(OnSubscribe);
        Command<Unsubscribe>(_ => Forget(Sender));
        Command<Terminated>(message => Forget(message.ActorRef));
        Command<CancelRequest>(_ => OnCancel());
        Command<Routed>(IsOfAnotherGateway, OnRouteOfAnother);
        Command<Routed>(OnRouted);
        Command<ReplicaProtocol.IEvent>(IsOfAnother, OnWordsOfAnother);
        Command<ReplicaProtocol.TokensGenerated>(IsCurrentOrNewer, OnTokens);
        Command<ReplicaProtocol.Rejected>(IsCurrent, OnRejected);
        Command<ReplicaProtocol.AloneDue>(IsCurrent, OnAloneDue);
        Command<ReplicaProtocol.IEvent>(stale => _log.Debug("{Id} ignored a stale {Message}", _id, stale));
        Command<CheckSilence>(_ => OnCheckSilence());
        Command<Retry>(_ => AskForRoute());
        Command<DeadlinePassed>(_ => OnDeadline());
    }

    private void Ended()
    {
        Command<Locate>(_ => Sender.Tell(new Located(_id)));
        Command<Accept>(_ => Sender.Tell(new Accepted(_id, _state.Accepted!.At)));
        Command<Describe>(_ => OnDescribe());
        Command<Wake>(_ => { });
        Command<Subscribe>(OnSubscribe);
        Command<Unsubscribe>(_ => Forget(Sender));
        Command<Terminated>(message => Forget(message.ActorRef));
        Command<CancelRequest>(_ => Sender.Tell(new HasEnded(_id, _state.Finished!.Reason)));
        Command<RetentionOver>(_ => DeleteMessages(long.MaxValue));
        Command<DeleteMessagesSuccess>(_ => Leave());
        Command<DeleteMessagesFailure>(failure =>
        {
            _log.Warning(failure.Cause, "{Id} could not delete its journal; it stays on disk", _id);
            Leave();
        });
        Command<IMessage>(_ => { });
        Command<ReplicaProtocol.IEvent>(Disown);
    }

    private void OnRecovered()
    {
        _intake = new TokenIntake(_state.Tokens.Count);
        if (_damage is not null) BecomeDamaged();
        else if (_state.IsOpen) BecomeOpen();
        else if (_state.Finished is not null) BecomeEnded();
    }

    private void OnLocateUnborn()
    {
        Timers.StartSingleTimer(nameof(NeverAccepted), NeverAccepted.Instance, _options.LocatedMax);
        Sender.Tell(new Located(_id));
    }

    private void OnAccept(Accept command)
    {
        Timers.Cancel(nameof(NeverAccepted));
        var accepted = new RequestAccepted(_id, _clock.GetUtcNow(), command.Spec);
        var replyTo = Sender;
        _acceptedFor = replyTo;
        Persist(accepted, happened =>
        {
            _state.Apply(happened);
            _meter.OnWritten(happened, _state);
            // In this order, so that a gateway that both concern counts the request without a gap.
            BecomeOpen();
            replyTo.Tell(new Accepted(_id, accepted.At));
        });
    }

    private void BecomeOpen()
    {
        Become(Open);
        var accepted = _state.Accepted!;
        var spec = accepted.Spec;
        BeginSpan(spec);
        _stop = new StopCut(spec.Parameters.Stops.IsEmpty ? null : _options.StopSearch?.Invoke(spec));
        _stop.Take(0, [.. _state.Tokens]);
        // Tokens that stop a request are written together with its end; but not by versions that left it to readers.
        if (_stop.Stopped)
        {
            End(FinishReason.Stop, error: null);
            return;
        }

        if (NextOf(_state.Replays) == NextAttempt.None)
        {
            EndAsCause();
            return;
        }

        if (!StartDeadline()) return;
        AskForRoute();
        Timers.StartPeriodicTimer(nameof(CheckSilence), CheckSilence.Instance, _options.SilenceMax);
    }

    private void BecomeEnded()
    {
        Become(Ended);
        EndSpan();
        Timers.CancelAll();
        foreach (var canceller in _cancellers) canceller.Tell(new HasEnded(_id, _state.Finished!.Reason));
        _cancellers.Clear();
        // Counted from its end, so that waking it again does not keep it for ever.
        var left = _state.Finished!.At + _options.Retention - _clock.GetUtcNow();
        Timers.StartSingleTimer(
            nameof(RetentionOver), RetentionOver.Instance,
            left > _options.Retention ? _options.Retention : left > TimeSpan.Zero ? left : TimeSpan.Zero);
    }

    private void AskForRoute()
    {
        // What a replica generates now could not be committed. The reader or the keeper that started this entity again
        // would else have it fail as often as the machine can.
        if (_options.Journal.Trouble is not null)
        {
            Timers.StartSingleTimer(nameof(Retry), Retry.Instance, _options.JournalRetry);
            return;
        }

        _asksForRoute = true;
        var spec = _state.Accepted!.Spec;
        _gateway.Tell(new Route(_id, _route?.Epoch ?? Epoch.None)
        {
            Prompt = spec.Prompt,
            TokensMax = spec.Parameters.TokensMax,
            Standing = spec.Standing,
            HasBegun = _state.Tokens.Count > 0,
        });
    }

    private void OnRouted(Routed route)
    {
        if (_ending is not null || (_route is not null && route.Epoch < _route.Epoch)) return;
        // A sequence that was handed over goes on where it is; the gateway does not know where that is.
        if (_isHandedOver && !_asksForRoute && route.Epoch == _route?.Epoch) return;
        // Of a replica that is gone without a word nobody knows what was in its step: it counts.
        var isLost = _route is not null && route.Epoch > _route.Epoch && !_isRejected;
        var lost = _route?.Epoch;
        _asksForRoute = false;
        _isHandedOver = false;
        if (route.Epoch > _route?.Epoch) _isRejected = false;
        _route = route;
        if (isLost) CountLoss(lost!.Value);
        Submit();
    }

    private void Submit()
    {
        // Tokens still on their way into the journal are left out: if it fails, they were never committed. They come
        // again with their indices and are dropped by the intake.
        var next = NextOf(Expected());
        if (IsHeld(next)) return;
        var request = new GenerationRequest(_id, _state.Accepted!.Spec, [.. _state.Tokens])
        {
            RunsAlone = next == NextAttempt.Alone,
        };
        var submit = new ReplicaProtocol.Submit(_route!.Epoch, request) { LostIn = LostIn(), Gateway = _gateway };
        if (_large.Tell(_route.Replica, submit, Self) is not { } refusal) return;
        _log.Warning("{Id} could not be submitted: {Reason}", _id, refusal.Reason);
        // Else its silence will have it submitted again.
        if (refusal.IsPermanent) End(FinishReason.Failed, $"It cannot be sent to a replica: {refusal.Reason}");
    }

    /// <summary>Null when the replica that it was heard of last is the one that it is submitted to.</summary>
    private Epoch? LostIn() => _ranOn is var (epoch, replica)
        && (epoch != _route!.Epoch || !replica.Equals(_route.Replica)) ? epoch : null;

    private bool IsCurrent(ReplicaProtocol.IEvent message) =>
        _route is not null && message.Epoch == _route.Epoch && _ending is null;

    /// <summary>Of a newer epoch: the sequence was handed over, and whoever speaks has it.</summary>
    private bool IsCurrentOrNewer(ReplicaProtocol.TokensGenerated generated)
    {
        if (_route is null || _ending is not null || generated.Epoch < _route.Epoch) return false;
        if (generated.Epoch == _route.Epoch) return true;
        _route = new Routed(_id, generated.Epoch, Sender);
        _isHandedOver = true;
        _asksForRoute = false;
        // Left over from the old replica, which was drained: it would get the request to a second one.
        Timers.Cancel(nameof(Retry));
        return true;
    }

    private void OnTokens(ReplicaProtocol.TokensGenerated generated)
    {
        _heard++;
        _isRejected = false;
        _ranOn = (generated.Epoch, Sender);
        if (generated.FirstIndex > _intake.NextIndex)
        {
            // A message was lost. The replica sends again from the committed count.
            _log.Debug("{Id} misses tokens before {Index}; it submits again", _id, generated.FirstIndex);
            Submit();
            return;
        }

        if (_intake.NextIndex == 0)
            (_reusedTokens, _promptLogprobs) = (generated.ReusedTokens, generated.PromptLogprobs);
        var tokens = _stop.Take(generated.FirstIndex, generated.Tokens);
        var logprobs = generated.Logprobs;
        _intake.Offer(generated.FirstIndex, tokens, logprobs.IsEmpty ? [] : logprobs[..tokens.Length]);
        if (_stop.Stopped) End(FinishReason.Stop, error: null, replicaGoesOn: generated.Finished is null);
        else if (generated.Finished is { } reason) End(reason, error: null);
        else WritePending();
    }

    private void OnRejected(ReplicaProtocol.Rejected rejected)
    {
        if (rejected.Permanent)
        {
            End(FinishReason.Failed, rejected.Reason);
            return;
        }

        _log.Debug("{Id} was rejected by its replica ({Reason}); it asks for another", _id, rejected.Reason);
        _isRejected = true;
        if (rejected.WasInLostStep) CountLoss(rejected.Epoch);
        Timers.StartSingleTimer(nameof(Retry), Retry.Instance, TimeSpan.FromMilliseconds(200));
    }

    private void OnCheckSilence()
    {
        if (_heard == _heardAtCheck && _ending is null) AskForRoute();
        _heardAtCheck = _heard;
    }

    private void End(FinishReason reason, string? error, bool replicaGoesOn = false)
    {
        if (_ending is not null) return;
        _ending = new RequestFinished(_id, reason, error, _clock.GetUtcNow());
        if (_route is not null && (replicaGoesOn || NeedsCancel(reason)))
        {
            _large.TellInOrder(_route.Replica, new ReplicaProtocol.Cancel(_route.Epoch, _id), Self);
        }

        _gateway.Tell(new RouteEnded(_id) { Tokens = _intake.NextIndex });
        WritePending();

        static bool NeedsCancel(FinishReason reason) =>
            reason is FinishReason.Cancelled or FinishReason.Failed or FinishReason.TimedOut;
    }

    private void WritePending()
    {
        if (_writing) return;
        var batch = new List<IRequestEvent>(4);
        var isFirst = _state.Tokens.Count == 0;
        // One that ends before its first token has a prompt that was scored.
        if (_intake.HasPending || (isFirst && _ending is not null && !_promptLogprobs.IsEmpty))
        {
            var (tokens, logprobs) = _intake.Take();
            batch.Add(new TokensCommitted(_id, _state.Tokens.Count, tokens)
            {
                Logprobs = logprobs,
                ReusedTokens = isFirst ? _reusedTokens : 0,
                PromptLogprobs = isFirst ? _promptLogprobs : [],
            });
            _promptLogprobs = [];
        }

        AddReplays(batch);
        if (_ending is not null) batch.Add(_ending);
        if (batch.Count == 0) return;
        _writing = true;
        var left = batch.Count;
        PersistAllAsync(batch, happened =>
        {
            _state.Apply(happened);
            _meter.OnWritten(happened, _state);
            if (happened is TokensCommitted { FirstIndex: 0 }) _gateway.Tell(new Begun(_id));
            if (--left > 0) return;
            _writing = false;
            ShowToAll();
            if (_state.Finished is not null)
            {
                BecomeEnded();
                return;
            }

            AfterReplays();
            WritePending();
        });
    }

    private static void Leave() => Context.Parent.Tell(new Passivate(PoisonPill.Instance));

    private sealed record CheckSilence
    {
        public static CheckSilence Instance { get; } = new();
    }

    private sealed record NeverAccepted
    {
        public static NeverAccepted Instance { get; } = new();
    }

    private sealed record Retry
    {
        public static Retry Instance { get; } = new();
    }

    private sealed record RetentionOver
    {
        public static RetentionOver Instance { get; } = new();
    }
}
