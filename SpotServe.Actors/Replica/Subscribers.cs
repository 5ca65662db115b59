using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Replica;

/// <summary>Who hears of a request.</summary>
/// <param name="Entity">The request's.</param>
/// <param name="Gateway">Of the entity's process: passes on to it what is short. Null when the entity gets all of it
/// itself.</param>
internal sealed record Subscriber(IActorRef Entity, IActorRef? Gateway);

/// <summary>
/// Who hears of which request: one actor for each, watched while it has any. A request whose actor died has none until
/// another submits it again. What a step draws is gathered, and sent in one message to each gateway.
/// </summary>
/// <param name="self">The actor that owns this.</param>
internal sealed class Subscribers(Epoch epoch, IActorContext context, IActorRef self)
{
    private readonly LargeMessages _large = LargeMessages.Of(context.System);
    private readonly Dictionary<RequestId, Subscriber> _byRequest = [];
    private readonly Dictionary<IActorRef, HashSet<RequestId>> _requests = [];
    private readonly Dictionary<IActorRef, Gathered> _gathered = [];

    public IEnumerable<RequestId> Requests => _byRequest.Keys;

    /// <summary>Who hears of a request; null when nobody does.</summary>
    public Subscriber? Of(RequestId id) => _byRequest.GetValueOrDefault(id);

    /// <summary>Sends a message behind those that were sent before. Tokens that find no room are lost tokens: the
    /// entity sees the gap and submits again.</summary>
    public void Tell(ReplicaProtocol.IEvent message)
    {
        if (!_byRequest.TryGetValue(message.Id, out var subscriber)) return;
        if (GatewayFor(subscriber, message) is { } gateway)
        {
            // Behind what was gathered for it.
            Send(gateway);
            gateway.Tell(message, self);
        }
        else if (message is IVariableSize)
        {
            _ = _large.Tell(subscriber.Entity, message, self);
        }
        else
        {
            _large.TellInOrder(subscriber.Entity, message, self);
        }
    }

    /// <summary>As <see cref="Tell"/>, for what a step drew; sent with <see cref="SendGathered"/>.</summary>
    public void Gather(ReplicaProtocol.TokensGenerated drawn)
    {
        if (!_byRequest.TryGetValue(drawn.Id, out var subscriber)) return;
        if (GatewayFor(subscriber, drawn) is not { } gateway)
        {
            _ = _large.Tell(subscriber.Entity, drawn, self);
            return;
        }

        var bytes = ReplicaProtocol.StepDrew.PartBytesMax(drawn);
        if (SizeBounds.Frame + bytes > _large.WholeBytesMax)
        {
            Tell(drawn);
            return;
        }

        if (!_gathered.TryGetValue(gateway, out var gathered)) _gathered.Add(gateway, gathered = new Gathered());
        if (gathered.BytesMax + bytes > _large.WholeBytesMax) Send(gateway);
        gathered.Drawn.Add(drawn);
        gathered.BytesMax += bytes;
    }

    public void SendGathered()
    {
        foreach (var gateway in _gathered.Keys) Send(gateway);
        // Of those that come and go nothing is kept.
        if (_gathered.Count > 1) _gathered.Clear();
    }

    public void Attach(RequestId id, Subscriber subscriber)
    {
        if (_byRequest.TryGetValue(id, out var current) && current.Entity.Equals(subscriber.Entity))
        {
            _byRequest[id] = subscriber;
            return;
        }

        Detach(id);
        _byRequest.Add(id, subscriber);
        if (_requests.TryGetValue(subscriber.Entity, out var requests))
        {
            requests.Add(id);
            return;
        }

        _requests.Add(subscriber.Entity, [id]);
        context.Watch(subscriber.Entity);
    }

    public void Detach(RequestId id)
    {
        if (!_byRequest.Remove(id, out var subscriber)) return;
        var requests = _requests[subscriber.Entity];
        requests.Remove(id);
        if (requests.Count > 0) return;
        _requests.Remove(subscriber.Entity);
        context.Unwatch(subscriber.Entity);
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
        _gathered.Clear();
    }

    /// <summary>Null for what goes straight to the entity: what may be long, so that nobody else's tokens wait behind
    /// it, and what has to stay behind that.</summary>
    private IActorRef? GatewayFor(Subscriber subscriber, ReplicaProtocol.IEvent message) =>
        subscriber.Gateway is { } gateway
        && !(message is IVariableSize variable && _large.MayBeLong(variable))
        && !_large.IsWaiting(subscriber.Entity, self)
            ? gateway
            : null;

    private void Send(IActorRef gateway)
    {
        if (!_gathered.TryGetValue(gateway, out var gathered) || gathered.Drawn.Count == 0) return;
        gateway.Tell(new ReplicaProtocol.StepDrew(epoch, gathered.Drawn.DrainToImmutable()), self);
        gathered.BytesMax = SizeBounds.Frame;
    }

    private sealed class Gathered
    {
        public ImmutableArray<ReplicaProtocol.TokensGenerated>.Builder Drawn { get; } =
            ImmutableArray.CreateBuilder<ReplicaProtocol.TokensGenerated>();

        public long BytesMax { get; set; } = SizeBounds.Frame;
    }
}
