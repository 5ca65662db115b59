using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Requests;

/// <summary>The conversation with a request's entity: it is accepted once, streamed any number of times.</summary>
public static class RequestProtocol
{
    public interface IMessage
    {
        RequestId Id { get; }
    }

    /// <summary>Take on this request. Answered by <see cref="Accepted"/> once it is in the journal.</summary>
    public sealed record Accept(RequestId Id, ImmutableArray<int> Prompt, GenerationParameters Parameters) : IMessage;

    public sealed record Accepted(RequestId Id) : IMessage;

    /// <summary>
    /// Send me tokens from this index on, now and as they are committed. A repeated one replaces the sender's earlier
    /// one, so a subscriber that has heard nothing for a while simply subscribes again.
    /// </summary>
    public sealed record Subscribe(RequestId Id, int FromIndex) : IMessage;

    public sealed record Unsubscribe(RequestId Id) : IMessage;

    public sealed record CancelRequest(RequestId Id) : IMessage;

    /// <summary>Committed tokens, to a subscriber.</summary>
    public sealed record TokensAvailable(
        RequestId Id, int FirstIndex, ImmutableArray<int> Tokens, FinishReason? Finished, string? Error) : IMessage;

    /// <summary>No request of this id was ever accepted, or its journal has been deleted.</summary>
    public sealed record Unknown(RequestId Id) : IMessage;

    // Entity and the gateway of its own process.

    /// <summary>
    /// Which replica generates for me? Answered by <see cref="Routed"/>, at once or when a layout serves.
    /// </summary>
    /// <param name="Failed">The epoch that the entity was told to use and that did not work, if any.</param>
    public sealed record Route(RequestId Id, Epoch Failed) : IMessage;

    /// <summary>Also sent unasked when a newer epoch serves.</summary>
    public sealed record Routed(RequestId Id, Epoch Epoch, Akka.Actor.IActorRef Replica) : IMessage;

    /// <summary>The request has ended; the gateway forgets it.</summary>
    public sealed record RouteEnded(RequestId Id) : IMessage;
}
