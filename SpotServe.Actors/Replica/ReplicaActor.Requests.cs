using System.Diagnostics;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Actors.Replica;

/// <summary>The replica's side of <see cref="ReplicaProtocol"/>: submit, attach, cancel, dead senders.</summary>
internal sealed partial class ReplicaActor
{
    private void OnSubmit(ReplicaProtocol.Submit submit)
    {
        if (submit.Epoch != _epoch)
        {
            Reject(submit, $"it serves {_epoch}, not {submit.Epoch}");
            return;
        }

        if (TryAttach(submit)) return;
        switch (_scheduler.Submit(submit.Request))
        {
            case Submission.Queued:
                if (_scheduler.TryGet(submit.Id, out var queued)) _meter.OnQueued(queued);
                _subscribers.Attach(submit.Id, new Subscriber(Sender, submit.Gateway));
                _spans.Begin(submit.Id, submit.Request.Spec, submit.Request.Committed.Length, "submitted");
                _resumed.OnTaken(submit);
                PlanSteps();
                return;
            case Submission.Complete complete:
                Sender.Tell(new ReplicaProtocol.TokensGenerated(
                    _epoch, submit.Id, submit.Request.Committed.Length, [], complete.Reason));
                return;
            case Submission.QueueFull full:
                Reject(submit, $"{full.QueuedRequestsMax} requests wait already, its limit; try again later");
                return;
            case Submission.TooLong tooLong:
                Reject(
                    submit,
                    $"the prompt has {tooLong.PromptTokens} tokens, the limit is {tooLong.PromptTokensMax}; shorten it",
                    permanent: true);
                return;
            case Submission.Malformed malformed:
                Reject(submit, malformed.Reason, permanent: true);
                return;
            default:
                throw new UnreachableException();
        }
    }

    private void OnSubmitWhileDraining(ReplicaProtocol.Submit submit)
    {
        if (submit.Epoch != _epoch || !TryAttach(submit)) Reject(submit, "it drains");
    }

    private void OnSubmitWhenLost(ReplicaProtocol.Submit submit, string reason)
    {
        if (submit.Epoch != _epoch || !TryAnswerFinished(submit)) Reject(submit, reason);
    }

    /// <summary>Answers a request that runs here or finished here from its committed tokens on.</summary>
    private bool TryAttach(ReplicaProtocol.Submit submit)
    {
        if (!_scheduler.TryGet(submit.Id, out var sequence)) return TryAnswerFinished(submit);
        if (Agree(sequence.Generated, submit.Request.Committed.AsSpan())
            && Resend(
                submit, sequence.Generated, sequence.Logprobs, null, sequence.ReusedTokens, sequence.PromptLogprobs))
        {
            _subscribers.Attach(submit.Id, new Subscriber(Sender, submit.Gateway));
            Timers.Cancel(OrphanKey(submit.Id));
            return true;
        }

        // The entity's tokens are the truth, also where another device rounded a tie the other way.
        _log.Warning("Request {0} came again with other tokens than were generated here: restarted", submit.Id);
        EndQuietly(submit.Id);
        return false;
    }

    private bool TryAnswerFinished(ReplicaProtocol.Submit submit)
    {
        if (!_finished.TryGet(submit.Id, out var finished)) return false;
        var generated = finished.Generated.AsSpan();
        if (generated.Length >= submit.Request.Committed.Length && Agree(generated, submit.Request.Committed.AsSpan()))
        {
            if (finished.Error is { } error)
            {
                Sender.Tell(Ended(submit.Id, error));
                return true;
            }

            if (Resend(submit, generated, finished.Logprobs.AsSpan(), finished.Reason)) return true;
        }

        _finished.Remove(submit.Id);
        return false;
    }

    /// <summary>Sends what was generated after the committed tokens.</summary>
    /// <param name="logprobs">Of the last so many of them.</param>
    /// <param name="promptLogprobs">Of the prompt; not kept for requests that finished.</param>
    /// <returns>False when some of it is not known here any more, so that it has to be generated again.</returns>
    private bool Resend(
        ReplicaProtocol.Submit submit, ReadOnlySpan<int> generated, ReadOnlySpan<TokenLogprobs> logprobs,
        FinishReason? finished, int reusedTokens = 0, ReadOnlySpan<TokenLogprobs> promptLogprobs = default)
    {
        var from = Math.Min(submit.Request.Committed.Length, generated.Length);
        if (from == generated.Length && finished is null) return true;
        var count = submit.Request.Spec.Parameters.TopLogprobs is null ? 0 : generated.Length - from;
        if (logprobs.Length < count) return false;
        var spec = submit.Request.Spec;
        var scored = from == 0 && spec.Parameters.PromptLogprobs is not null ? spec.Prompt.Length - 1 : 0;
        if (promptLogprobs.Length < scored) return false;
        var resent = new ReplicaProtocol.TokensGenerated(_epoch, submit.Id, from, [.. generated[from..]], finished)
        {
            Logprobs = [.. logprobs[^count..]],
            ReusedTokens = from == 0 ? reusedTokens : 0,
            PromptLogprobs = [.. promptLogprobs[..scored]],
        };
        // The sender submits again when it misses tokens.
        if (_large.Tell(Sender, resent, Self) is { } refusal)
            _log.Warning("{Id} does not get its tokens again: {Reason}", submit.Id, refusal.Reason);
        return true;
    }

    /// <summary>A request that waits, or whose prompt is being computed, gets no tokens for a while. Its sender would
    /// take that for a loss and submit it again, prompt and all, every few seconds.</summary>
    private void SayWhatWaits()
    {
        foreach (var sequence in _scheduler.Sequences)
        {
            if (sequence.Phase is not (SequencePhase.Waiting or SequencePhase.Prefill)) continue;
            _subscribers.Gather(
                new ReplicaProtocol.TokensGenerated(_epoch, sequence.Id, sequence.GeneratedCount, [], null));
        }

        _subscribers.SendGathered();
    }

    private void OnCancel(ReplicaProtocol.Cancel cancel)
    {
        if (cancel.Epoch != _epoch)
        {
            _log.Debug("Ignored {0}: this replica serves {1}", cancel, _epoch);
            return;
        }

        EndQuietly(cancel.Id);
    }

    private void OnTerminated(Terminated terminated)
    {
        var orphans = _subscribers.DetachAll(terminated.ActorRef);
        foreach (var id in orphans)
        {
            Timers.StartSingleTimer(OrphanKey(id), new OrphanExpired(_epoch, id), _settings.OrphanGrace);
        }

        _log.Info(
            "{0} requests lost their sender {1}: cancelled after {2} unless submitted again",
            orphans.Count,
            terminated.ActorRef,
            _settings.OrphanGrace);
    }

    private void OnOrphanExpired(OrphanExpired expired)
    {
        _log.Info("Request {0} is cancelled: its sender died {1} ago", expired.Id, _settings.OrphanGrace);
        EndQuietly(expired.Id);
    }

    private void EndQuietly(RequestId id)
    {
        _scheduler.Cancel(id);
        Forget(id);
    }

    private void Forget(RequestId id)
    {
        _subscribers.Detach(id);
        _spans.End(id);
        _resumed.OnGone(id);
        Timers.Cancel(OrphanKey(id));
    }

    private void Reject(ReplicaProtocol.Submit submit, string reason, bool permanent = false) =>
        Sender.Tell(new ReplicaProtocol.Rejected(
            submit.Epoch, submit.Id, $"Replica {_replica} refused the request: {reason}.", permanent));

    private void OnRunAlone(ReplicaProtocol.RunAlone permit)
    {
        if (permit.Epoch == _epoch && _scheduler.Permit(permit.Id)) PlanSteps();
    }

    /// <summary>Asks the entity of a request that is to run alone, once and then with each report: messages are
    /// lost. It asks the entity itself, because a gateway passes nothing on to one that has ended, and that has to say
    /// so.</summary>
    private void AskForPermit(bool isReport)
    {
        var awaiting = _scheduler.AwaitingPermit;
        if (awaiting is { } id && (isReport || awaiting != _askedFor))
            _subscribers.Of(id)?.Entity.Tell(new ReplicaProtocol.AloneDue(_epoch, id));
        _askedFor = awaiting;
    }

    /// <summary>The request's own fault: it goes on nowhere.</summary>
    private ReplicaProtocol.Rejected Ended(RequestId id, string error) =>
        new(_epoch, id, $"The model cannot go on with this request: {error}.", Permanent: true);

    private void RejectAll(string reason, bool isLoss)
    {
        foreach (var id in _subscribers.Requests)
        {
            _subscribers.Tell(new ReplicaProtocol.Rejected(_epoch, id, reason)
            {
                WasInLostStep = isLoss && _scheduler.TryGet(id, out var sequence) && sequence.IsInFlight,
            });
        }

        _subscribers.Clear();
        _spans.EndAll(reason, isLoss);
    }

    private static bool Agree(ReadOnlySpan<int> generated, ReadOnlySpan<int> committed)
    {
        var common = Math.Min(generated.Length, committed.Length);
        return generated[..common].SequenceEqual(committed[..common]);
    }

    // A record as the key: no text to build for each finished request.
    private static OrphanTimer OrphanKey(RequestId id) => new(id);

    private sealed record OrphanTimer(RequestId Id);
}
