using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Replica.HandoverProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>Both sides of <see cref="HandoverProtocol"/>: sequences that come before it serves, and that leave
/// later.</summary>
internal sealed partial class ReplicaActor
{
    private readonly PageCopyQueue _copies;
    private readonly IncomingHandover? _incoming;
    private readonly List<(ReplicaProtocol.Submit Submit, IActorRef Sender)> _held = [];
    private OutgoingHandover? _outgoing;
    private bool _isHandedOver;

    private long HandoverTicksMax => (long)(_settings.RoundAnswerMax / _settings.HandoverPeriod);

    private void Receiving()
    {
        Receive<HandoverOpened>(IsForThis, opened =>
        {
            if (_incoming!.OnOpened(opened, Sender)) Context.Watch(Sender);
        });
        Receive<PagesReady>(IsForThis, ready => _incoming!.OnReady(ready, Sender));
        Receive<SequencesHandedOver>(IsForThis, OnSequencesHandedOver);
        Receive<PagesCopied>(IsForThis, copied => OnCopyOver(copied.Job, copied.Bytes, arrived: true));
        Receive<PagesLost>(IsForThis, lost =>
        {
            _log.Warning("Replica {0} of {1} goes without some pages: {2}", _replica, _epoch, lost.Reason);
            OnCopyOver(lost.Job, 0, arrived: false);
        });
        Receive<ServeNow>(IsForThis, OnServeNow);
        Receive<HandoverOverdue>(_ => ServeWithWhatIsHere($"nothing came for {_settings.HandoverMax.TotalSeconds} s"));
        Receive<ReplicaProtocol.Submit>(OnSubmitWhileReceiving);
        Receive<ReplicaControlProtocol.Drain>(IsCurrent, drain =>
        {
            ServeWithWhatIsHere("it is drained");
            Self.Forward(drain);
        });
        Receive<PipelineLost>(lost => OnPipelineLost(lost.Reason, []));
        Receive<Terminated>(dead => _incoming!.OnTerminated(dead.ActorRef), _ => ServeWhenComplete());
        ReceiveAlways();
    }

    /// <summary>What a replica that serves, drains or is drained does with the protocol's messages.</summary>
    private void ReceiveHandover()
    {
        Receive<BeginHandover>(begin => begin.Epoch == _epoch, OnBeginHandover);
        Receive<CancelHandover>(
            cancel => cancel.Epoch == _epoch && cancel.NewEpoch >= _outgoing?.NewEpoch, _ => StopHandover());
        Receive<PagesTaken>(taken => taken.Epoch == _outgoing?.NewEpoch, taken => _outgoing!.OnTaken(taken));
        Receive<HandoverTick>(_ => OnHandoverTick());
        Receive<ServeNow>(IsForThis, _ => TellServes());
        // Copies that were under way when it began to serve without them.
        Receive<PagesCopied>(IsForThis, copied => OnLateCopyOver(copied.Job, copied.Bytes));
        Receive<PagesLost>(IsForThis, lost => OnLateCopyOver(lost.Job, 0));
        Receive<Terminated>(dead => _outgoing?.OnTerminated(dead.ActorRef) == true, _ => { });
        Receive<IMessage>(late => _log.Debug("Ignored {0}", late));
    }

    private bool IsForThis(IMessage message) => message.Epoch == _epoch;

    private void OnSequencesHandedOver(SequencesHandedOver handedOver)
    {
        _incoming!.OnHandedOver(handedOver);
        if (!Timers.IsTimerActive(nameof(HandoverOverdue)))
        {
            Timers.StartSingleTimer(nameof(HandoverOverdue), HandoverOverdue.Instance, _settings.HandoverMax);
        }

        ServeWhenComplete();
    }

    private void OnServeNow(ServeNow now)
    {
        // A home that only takes long, with slow steps before a node's deadline, is better waited for than given up.
        if (now.HomeMayCome && _incoming!.IsHomeMissing)
            _log.Debug("Replica {0} of {1} waits for its home", _replica, _epoch);
        else ServeWithWhatIsHere("it was told to");
    }

    private void OnCopyOver(long job, long bytes, bool arrived)
    {
        _incoming!.OnCopied(job, bytes, arrived);
        ServeWhenComplete();
    }

    private void OnLateCopyOver(long job, long bytes)
    {
        if (_copies.TryEnd(job, bytes, out var copy)) _scheduler.GiveBackPages(copy.Request.To.AsSpan());
    }

    private void OnSubmitWhileReceiving(ReplicaProtocol.Submit submit)
    {
        if (_held.Count >= _limits.QueuedRequestsMax) Reject(submit, "it does not serve yet and many wait");
        else _held.Add((submit, Sender));
    }

    private void ServeWhenComplete()
    {
        if (_incoming!.IsComplete) BeginServing();
    }

    private void ServeWithWhatIsHere(string why)
    {
        if (_incoming!.IsHomeMissing)
        {
            // Its engine may share pages with this one and still write to them: nothing here could be trusted.
            var missing = string.Join(", ", _incoming.Missing);
            OnPipelineLost($"{why}, but replica {missing} before it has not handed over", []);
            return;
        }

        _log.Warning("Replica {0} of {1} serves with what is here: {2}", _replica, _epoch, why);
        BeginServing();
    }

    private void BeginServing()
    {
        Timers.Cancel(nameof(HandoverOverdue));
        _copies.Cancel();
        var sequences = _incoming!.Take();
        _scheduler.SetAsidePages([.. _copies.BusyPages]);
        var adoption = _scheduler.Adopt([.. sequences.Select(sequence => sequence.State)]);
        _scheduler.CheckLaws();
        var missed = _incoming.Missed;
        // Those that did not come are counted when they are submitted and go on.
        _adopted = new Adopted(sequences.Length, missed.Sequences, adoption.TokensRecomputed);
        _log.Info(
            "Replica {Replica} of {Epoch} goes on with {Count} sequences, {Waiting} of them wait; {Missed} did not " +
            "come; {Tokens} tokens are computed anew",
            _replica, _epoch, sequences.Length, adoption.Waiting, missed.Sequences,
            adoption.TokensRecomputed + missed.CachedTokens);
        Become(Serving);
        PlanSteps();   // Before telling anyone: the devices should not wait for the mail.
        foreach (var (handed, _) in sequences) Introduce(handed);
        foreach (var ended in adoption.Ended)
        {
            _subscribers.Tell(new ReplicaProtocol.TokensGenerated(
                _epoch, ended.Sequence.Id, ended.Sequence.Generated.Length, [], ended.Reason));
            Forget(ended.Sequence.Id);
        }

        foreach (var leader in _incoming.Leaders) Context.Unwatch(leader);
        TellServes();
        foreach (var (submit, sender) in _held) Self.Tell(submit, sender);
        _held.Clear();
    }

    /// <summary>Tells a sequence's entity who speaks to it from now on, and which token comes next.</summary>
    private void Introduce(HandedSequence handed)
    {
        _spans.Begin(handed.Id, handed.Spec, handed.Generated.Length, "handed over");
        if (handed.Subscriber is not { } subscriber)
        {
            Timers.StartSingleTimer(
                OrphanKey(handed.Id), new OrphanExpired(_epoch, handed.Id), _settings.OrphanGrace);
            return;
        }

        _subscribers.Attach(handed.Id, new Subscriber(subscriber, handed.Gateway));
        subscriber.Tell(new ReplicaProtocol.TokensGenerated(_epoch, handed.Id, handed.Generated.Length, [], null));
    }

    private void TellServes() => Context.Parent.Tell(new ReplicaServes(
        _epoch, _replica, _adopted.Sequences, _adopted.NotHandedOver, _adopted.TokensRecomputed, _copies.Bytes));

    private void OnBeginHandover(BeginHandover begin)
    {
        if (_outgoing is { } known && begin.NewEpoch <= known.NewEpoch)
        {
            if (begin.NewEpoch == known.NewEpoch)
            {
                known.Repeat(Sender);
                known.Advance();
            }

            return;
        }

        var lastRound = _outgoing?.LastRound ?? 0;
        StopHandover();
        _outgoing = new OutgoingHandover(begin, _replica, _scheduler, lastRound, _large, Sender, Self);
        foreach (var leader in _outgoing.Leaders) Context.Watch(leader);
        _outgoing.Open();
        _outgoing.Advance();
        Timers.StartPeriodicTimer(nameof(HandoverTick), HandoverTick.Instance, _settings.HandoverPeriod);
    }

    private void OnHandoverTick()
    {
        foreach (var target in _outgoing?.Tick(HandoverTicksMax) ?? [])
        {
            _log.Warning(
                "New replica {0} took no pages for {1} s: it gets the rest at the end", target,
                _settings.RoundAnswerMax.TotalSeconds);
        }
    }

    private void StopHandover()
    {
        if (_outgoing is null) return;
        Timers.Cancel(nameof(HandoverTick));
        foreach (var leader in _outgoing.Leaders) Context.Unwatch(leader);
        _outgoing.GiveBackPages();
        _outgoing = null;
        _isHandedOver = false;
        PlanSteps();   // Pages that were set aside are there again.
    }

    /// <summary>After the last step. A repeated drain sends it again: messages may have been lost.</summary>
    private void HandOver()
    {
        if (_outgoing is null) return;
        Timers.Cancel(nameof(HandoverTick));
        if (_isHandedOver)
        {
            _outgoing.SendHanded();
            return;
        }

        _isHandedOver = true;
        var missing = _outgoing.Finish(_subscribers.Of);
        _spans.EndAll("handed over", isLoss: false);
        if (missing.Count == 0) return;
        _log.Warning(
            "{Count} requests were not handed over and are computed anew; the first is {Why}", missing.Count,
            missing[0]);
    }

    private ReplicaControlProtocol.ReplicaCacheReport CacheReport() => new(
        _epoch,
        _replica,
        [
            .. _scheduler.Sequences.Where(sequence => sequence.CachedTokens > 0).Select(sequence => new CachedRequest(
                sequence.Id, sequence.CachedTokens, Math.Max(0, sequence.CachedTokens - sequence.PromptCount))),
        ]);

    /// <summary>What came of the handovers to this replica.</summary>
    private sealed record Adopted(int Sequences, int NotHandedOver, long TokensRecomputed);

    private sealed record HandoverOverdue
    {
        public static HandoverOverdue Instance { get; } = new();
    }

    private sealed record HandoverTick
    {
        public static HandoverTick Instance { get; } = new();
    }
}
