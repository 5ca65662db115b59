using System.Diagnostics;
using Akka.Actor;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Requests;
using static SpotServe.Actors.Gateway.GatewayProtocol;

namespace SpotServe.Actors.Gateway;

/// <summary>The door: what is let in, what is kept out and why, and what the journal has yet to take.</summary>
internal sealed partial class GatewayActor
{
    private void OnGenerate(Generate command)
    {
        if (Refusal(command.Spec) is { } refusal)
        {
            GatewayMetrics.Count(refusal);
            Sender.Tell(refusal);
            return;
        }

        var spec = command.Spec;
        var id = _options.NewId(_clock.GetUtcNow(), spec.Kind);
        _arrivals.OnAccepted(spec.Prompt.Length, spec.Parameters.TokensMax, _clock.GetUtcNow());
        _open.Add(id, spec.Standing.Client, TokensOf(spec.Prompt.Length, spec.Parameters.TokensMax), waits: true);
        var accept = new RequestProtocol.Accept(id, spec);
        var isLong = _large.MayBeLong(accept);
        _accepting.Add(id, new PendingAccept(
            Sender, _clock.GetUtcNow() + _options.AcceptTimeout, isLong ? accept : null));
        // A region passes on what fits a frame; what may not goes straight to the entity.
        _requests().Tell(isLong ? new RequestProtocol.Locate(id) : accept, Self);
    }

    private void OnLocated(RequestProtocol.Located located)
    {
        if (!_accepting.TryGetValue(located.Id, out var pending) || pending.Accept is not { } accept) return;
        _accepting[located.Id] = pending with { Accept = null };
        if (_large.Tell(Sender, accept, Self) is not { } refusal) return;
        RemovePending(located.Id);
        Answer(pending, refusal.IsPermanent
            ? new Admission.Refused($"The request cannot be sent to the node that would keep it: {refusal.Reason}")
            : new Admission.Unavailable(refusal.Reason, _options.RetryAfter));
    }

    private Admission? Refusal(GenerationSpec spec)
    {
        if (_view?.Model is { } model && spec.Prompt.Length >= model.ContextMax)
        {
            return new Admission.Refused(
                $"The prompt has {spec.Prompt.Length:N0} tokens; {model.Name} has a context of " +
                $"{model.ContextMax:N0}, prompt and completion together. Shorten the prompt.");
        }

        if (_view?.Model is { } served)
        {
            foreach (var token in spec.Prompt)
            {
                if ((uint)token < (uint)served.VocabularySize) continue;
                var where = StepFailure.OutsideVocabulary(token, served.VocabularySize);
                return new Admission.Refused($"The prompt is none of {served.Name}'s: {where}.");
            }
        }

        if (!IsServing && _clock.GetUtcNow() - _unservedSince > _options.UnservedMax)
        {
            return new Admission.Unavailable(
                $"No layout serves: {_view?.StatusLine ?? "the planner has not been heard yet"}.", _options.RetryAfter);
        }

        if (_options.Journal.Trouble is { } trouble) return NotWritten(trouble);
        if (Undeliverable(spec) is { } undeliverable) return new Admission.Refused(undeliverable);

        return Full(spec);
    }

    /// <summary>That there is no room for a request, or none for one more of its client; null when there is.</summary>
    private Admission? Full(GenerationSpec spec)
    {
        var client = spec.Standing.Client;
        var tokens = TokensOf(spec.Prompt.Length, spec.Parameters.TokensMax);
        if (_open.BoundFor(client, tokens) is not { } bound) return null;
        GatewayMetrics.Count(bound);
        var (itsRequests, itsTokens) = _open.Of(client);
        var reason = bound switch
        {
            DoorBound.Requests =>
                $"{_options.OpenRequestsMax:N0} requests are open, the most this gateway takes " +
                "(--open-requests-max). Try again later.",
            DoorBound.Tokens =>
                $"{_open.WaitingTokens:N0} tokens of prompts and completions wait; with the {tokens:N0} of this " +
                $"request they would be more than {_options.WaitingTokensMax:N0}, the most that this gateway lets " +
                "wait (--waiting-tokens-max). Try again later, or ask for fewer.",
            DoorBound.ClientRequests =>
                $"You have {itsRequests:N0} of the {_options.OpenRequestsMax:N0} requests open that this gateway " +
                "takes (--open-requests-max); the rest is for other clients. Try again when one of yours has ended.",
            DoorBound.ClientTokens =>
                $"Requests of yours with {itsTokens:N0} tokens of prompts and completions wait, of the " +
                $"{_options.WaitingTokensMax:N0} that this gateway lets wait (--waiting-tokens-max); the rest is for " +
                "other clients. Try again when some of yours have begun.",
            _ => throw new UnreachableException(),
        };
        var now = _clock.GetUtcNow();
        // Nothing ends or begins while nothing serves: how long that takes is no matter of rates.
        if (!IsServing) return new Admission.Unavailable($"No layout serves, and {reason}", _options.RetryAfter);
        return new Admission.Busy(reason, bound is DoorBound.Tokens
            ? _arrivals.TimeOfTokens(_open.Excess(tokens), _options.RetryAfter, now)
            : _arrivals.TimeOfOneEnd(_options.RetryAfter, now));
    }

    /// <summary>Prompt and longest completion together.</summary>
    private long TokensOf(int promptTokens, int tokensMax) => promptTokens + (long)(_view?.Model is { } model
        ? Math.Clamp(model.ContextMax - promptTokens, 0, tokensMax)
        : tokensMax);

    /// <summary>What is accepted must be sent to a replica, with all the tokens that it may come to.</summary>
    private string? Undeliverable(GenerationSpec spec)
    {
        var tokens = TokensOf(spec.Prompt.Length, spec.Parameters.TokensMax);
        var more = tokens - spec.Prompt.Length;
        return tokens <= _options.TokensMax
            ? null
            : $"The prompt has {spec.Prompt.Length:N0} tokens and {more:N0} more are asked for; " +
                $"{_options.TokensMax:N0} together can be sent between nodes. Shorten the prompt or ask for fewer.";
    }

    private void OnAccepted(RequestProtocol.Accepted accepted)
    {
        if (RemovePending(accepted.Id) is not { } pending) return;
        Answer(pending, new Admission.Accepted(accepted.Id, accepted.At));
    }

    private void OnNotAccepted(RequestProtocol.NotAccepted refused)
    {
        if (RemovePending(refused.Id) is not { } pending) return;
        Answer(pending, NotWritten(refused.Reason));
        // The write may have worked all the same, its answer lost: then nobody knows the request's id.
        _requests().Tell(new RequestProtocol.CancelRequest(refused.Id));
    }

    /// <summary>From here on it counts where its entity asks for a route: here, or at another control node.</summary>
    private PendingAccept? RemovePending(RequestId id)
    {
        if (!_accepting.Remove(id, out var pending)) return null;
        if (!_routes.ContainsKey(id)) _open.Remove(id);
        return pending;
    }

    private static void Answer(PendingAccept pending, Admission outcome)
    {
        GatewayMetrics.Count(outcome);
        pending.ReplyTo.Tell(outcome);
    }

    private Admission.Unavailable NotWritten(string trouble) =>
        new($"The journal takes no writes: {trouble.TrimEnd('.')}. Try again later.", _options.RetryAfter);

    /// <param name="Accept">What is sent once it is known where its entity is; null when it was sent.</param>
    private sealed record PendingAccept(
        IActorRef ReplyTo, DateTimeOffset Deadline, RequestProtocol.Accept? Accept);
}
