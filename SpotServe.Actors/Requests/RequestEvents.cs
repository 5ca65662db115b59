using System.Collections.Immutable;

namespace SpotServe.Actors.Requests;

/// <summary>
/// What a request's journal holds. Written in the journal's own versioned schema, never with Hyperion.
/// </summary>
internal static class RequestEvents
{
    public interface IRequestEvent
    {
        RequestId Id { get; }
    }

    /// <param name="Spec">All of it, so that any control node can go on with it, end it and show it alike.</param>
    public sealed record RequestAccepted(RequestId Id, DateTimeOffset At, GenerationSpec Spec) : IRequestEvent;

    /// <summary>
    /// Tokens that will never change. <paramref name="FirstIndex"/> counts from the generation's start.
    /// </summary>
    public sealed record TokensCommitted(RequestId Id, int FirstIndex, ImmutableArray<int> Tokens) : IRequestEvent
    {
        /// <summary>One for each token, where the request wants them; else none.</summary>
        public ImmutableArray<TokenLogprobs> Logprobs { get; init; } = [];

        /// <summary>With the first token: how many of the prompt were not computed, because kept pages held
        /// them.</summary>
        public int ReusedTokens { get; init; }

        /// <summary>With the first token, or with the end where there is none: of the prompt's tokens from the second
        /// on, where the request wants them.</summary>
        public ImmutableArray<TokenLogprobs> PromptLogprobs { get; init; } = [];
    }

    /// <summary>The replica was lost with the request in its step, as far as is known.</summary>
    /// <param name="WasTogether">It did not run alone, even if it did before: it was handed over since, and not
    /// permitted again yet.</param>
    public sealed record LossCounted(RequestId Id, DateTimeOffset At, bool WasTogether = false) : IRequestEvent;

    /// <summary>The request is about to be run alone, because of the losses before.</summary>
    public sealed record TriedAlone(RequestId Id, DateTimeOffset At) : IRequestEvent;

    public sealed record RequestFinished(
        RequestId Id, FinishReason Reason, string? Error, DateTimeOffset At) : IRequestEvent;
}
