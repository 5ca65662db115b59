using Akka.Actor;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Requests;

/// <summary>Those who read a request: each is told its tokens from where it is on, as they are committed.</summary>
public sealed partial class RequestEntity
{
    private readonly Dictionary<IActorRef, int> _nextIndexOf = [];

    private void OnSubscribe(Subscribe command)
    {
        if (!_nextIndexOf.ContainsKey(Sender))
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
        subscriber.Tell(new TokensAvailable(_id, from, tokens, _state.Finished?.Reason, _state.Finished?.Error));
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
        Sender.Tell(new Described(
            _id, accepted.At, accepted.Prompt.Length, PromptTail.Of(accepted.Prompt), accepted.Parameters.StopTokens,
            accepted.Stops, accepted.Parameters.ShowsSpecialTokens)
        {
            TokenCount = _state.Tokens.Count,
            Finished = _state.Finished?.Reason,
            IsFull = _nextIndexOf.Count >= _options.SubscribersMax,
        });
    }

    private void AnswerUnknown()
    {
        Sender.Tell(new Unknown(_id));
        Leave();
    }
}
