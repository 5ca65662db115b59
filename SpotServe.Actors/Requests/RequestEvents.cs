using System.Collections.Immutable;

namespace SpotServe.Actors.Requests;

/// <summary>
/// What a request's journal holds. Written in the journal's own versioned schema, never with Hyperion.
/// </summary>
public static class RequestEvents
{
    public interface IRequestEvent
    {
        RequestId Id { get; }
    }

    /// <param name="Stops">Texts that end the generation; kept here so that any control node can end and show it
    /// alike.</param>
    public sealed record RequestAccepted(
        RequestId Id,
        DateTimeOffset At,
        ImmutableArray<int> Prompt,
        GenerationParameters Parameters,
        ImmutableArray<string> Stops) : IRequestEvent;

    /// <summary>
    /// Tokens that will never change. <paramref name="FirstIndex"/> counts from the generation's start.
    /// </summary>
    public sealed record TokensCommitted(RequestId Id, int FirstIndex, ImmutableArray<int> Tokens) : IRequestEvent;

    public sealed record RequestFinished(
        RequestId Id, FinishReason Reason, string? Error, DateTimeOffset At) : IRequestEvent;
}
