using Akka.Actor;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Replica;

/// <summary>
/// Who hears of which request: one actor for each, watched while it has any. A request whose actor died has none until
/// another submits it again.
/// </summary>
internal sealed class Subscribers(IActorContext context)
{
    private readonly LargeMessages _large = LargeMessages.Of(context.System);
    private readonly Dictionary<RequestId, IActorRef> _byRequest = [];
    private readonly Dictionary<IActorRef, HashSet<RequestId>> _requests = [];

    public IEnumerable<KeyValuePair<RequestId, IActorRef>> All => _byRequest;

    /// <summary>Who hears of a request; null when nobody does.</summary>
    public IActorRef? Of(RequestId id) => _byRequest.GetValueOrDefault(id);

    /// <summary>Sends a message behind those that were sent before. Tokens that find no room are lost tokens: the
    /// entity sees the gap and submits again.</summary>
    public void Tell(RequestId id, object message, IActorRef sender)
    {
        if (!_byRequest.TryGetValue(id, out var subscriber)) return;
        if (message is IVariableSize) _ = _large.Tell(subscriber, message, sender);
        else _large.TellInOrder(subscriber, message, sender);
    }

    public void Attach(RequestId id, IActorRef subscriber)
    {
        if (_byRequest.TryGetValue(id, out var current) && current.Equals(subscriber)) return;
        Detach(id);
        _byRequest.Add(id, subscriber);
        if (_requests.TryGetValue(subscriber, out var requests))
        {
            requests.Add(id);
            return;
        }

        _requests.Add(subscriber, [id]);
        context.Watch(subscriber);
    }

    public void Detach(RequestId id)
    {
        if (!_byRequest.Remove(id, out var subscriber)) return;
        var requests = _requests[subscriber];
        requests.Remove(id);
        if (requests.Count > 0) return;
        _requests.Remove(subscriber);
        context.Unwatch(subscriber);
    }

    /// <summary>Forgets an actor that died; its requests are left without one.</summary>
    public IReadOnlyCollection<RequestId> DetachAll(IActorRef dead)
    {
        if (!_requests.Remove(dead, out var orphans)) return [];
        foreach (var id in orphans) _byRequest.Remove(id);
        return orphans;
    }

    public void Clear()
    {
        foreach (var subscriber in _requests.Keys) context.Unwatch(subscriber);
        _requests.Clear();
        _byRequest.Clear();
    }
}
