using Akka.Actor;

namespace SpotServe.Tests.Replica;

/// <summary>A reference that keeps what it is told: for tests of what talks to actors without being one.</summary>
internal sealed class RecordedActor(string name) : MinimalActorRef
{
    private readonly Queue<object> _told = [];

    public override ActorPath Path { get; } = new RootActorPath(Address.AllSystems, $"/{name}");

    /// <summary>Nothing of it is asked for.</summary>
    public override IActorRefProvider Provider => null!;

    public int Waiting => _told.Count;

    /// <summary>Gets messages in place of keeping them.</summary>
    public Action<object>? OnTold { get; set; }

    /// <summary>The oldest message that was not taken, or null.</summary>
    public object? Next() => _told.TryDequeue(out var message) ? message : null;

    /// <summary>All messages of a kind that were not taken; others are dropped.</summary>
    public T[] All<T>()
    {
        T[] found = [.. _told.OfType<T>()];
        _told.Clear();
        return found;
    }

    protected override void TellInternal(object message, IActorRef sender)
    {
        if (OnTold is { } told) told(message);
        else _told.Enqueue(message);
    }
}
