using Akka.Actor;
using Akka.Event;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Requests;

/// <summary>Those who read a request: each is told its tokens from where it is on, as they are committed.</summary>
internal sealed partial class RequestEntity
{
    private readonly Dictionary<IActorRef, int> _nextIndexOf = [];

    /// <summary>Who waits for the end that it asked for.</summary>
    private readonly HashSet<IActorRef> _cancellers = [];

    private void OnSubscribe(Subscribe command)
    {
        if (_nextIndexOf.ContainsKey(Sender))
        {
            // What it asks for is on its way already, and takes longer than it has patience.
            if (_large.IsWaiting(Sender, Self)) return;
        }
        else
        {
            if (_nextIndexOf.Count >= _options.SubscribersMax)
            {
                Sender.Tell(new TooManyReaders(_id, _options.SubscribersMax));
                return;
            }

            Context.Watch(Sender);
        }

        _nextIndexOf[Sender] = Math.Max(0, command.FromIndex);
        Show(Sender);
    }

    private void ShowToAll()
    {
        foreach (var subscriber in _nextIndexOf.Keys.ToArray()) Show(subscriber);
    }

    private void Show(IActorRef subscriber)
    {
        var from = _nextIndexOf[subscriber];
        var tokens = _state.TokensFrom(from);
        if (tokens.Length == 0 && _state.Finished is null) return;
        var shown = new TokensAvailable(_id, from, tokens, _state.Finished?.Reason, _state.Finished?.Error)
        {
            Logprobs = _state.LogprobsFrom(from),
            ReusedTokens = _state.ReusedTokens,
            PromptLogprobs = from == 0 ? _state.PromptLogprobs : [],
        };
        if (_large.Tell(subscriber, shown, Self) is { } refusal)
        {
            // The next tokens or the subscriber's next question bring it again.
            _log.Warning("{Id} could not show {Count} tokens: {Reason}", _id, tokens.Length, refusal.Reason);
            return;
        }

        _nextIndexOf[subscriber] = from + tokens.Length;
    }

    private void Forget(IActorRef subscriber)
    {
        Context.Unwatch(subscriber);
        _nextIndexOf.Remove(subscriber);
    }

    private void OnDescribe()
    {
        var accepted = _state.Accepted!;
        Sender.Tell(new Described(_id, accepted.At, accepted.Spec.Prompt.Length, PromptTail.Of(accepted.Spec))
        {
            TokenCount = _state.Tokens.Count,
            Finished = _state.Finished?.Reason,
            Readers = _nextIndexOf.Count,
            IsFull = _nextIndexOf.Count >= _options.SubscribersMax,
        });
    }

    private void OnCancel()
    {
        // Beyond the bound they ask again, and are answered once it has ended.
        if (!Sender.IsNobody() && _cancellers.Count < _options.SubscribersMax) _cancellers.Add(Sender);
        End(FinishReason.Cancelled, error: null);
    }

    private void AnswerUnknown()
    {
        Sender.Tell(new Unknown(_id));
        Leave();
    }
}
