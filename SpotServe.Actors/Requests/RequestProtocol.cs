using System.Collections.Immutable;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Requests;

/// <summary>The conversation with a request's entity: it is accepted once, streamed any number of times.</summary>
internal static class RequestProtocol
{
    public interface IMessage
    {
        RequestId Id { get; }
    }

    /// <summary>Take on this request. Answered by <see cref="Accepted"/> once it is in the journal.</summary>
    public sealed record Accept(RequestId Id, GenerationSpec Spec) : IMessage, IVariableSize
    {
        long IVariableSize.BytesMax => SizeBounds.Frame + Spec.BytesMax;
    }

    /// <summary>
    /// Where are you? Answered by <see cref="Located"/>, to send an <see cref="Accept"/> straight there that is too
    /// long to go through the shards' regions.
    /// </summary>
    public sealed record Locate(RequestId Id) : IMessage;

    /// <summary>Here: the sender is the entity, and waits a while for its <see cref="Accept"/>.</summary>
    public sealed record Located(RequestId Id) : IMessage;

    /// <param name="At">As the journal has it.</param>
    public sealed record Accepted(RequestId Id, DateTimeOffset At) : IMessage;

    /// <summary>The other answer to <see cref="Accept"/>: the journal did not take it, as far as is known.</summary>
    public sealed record NotAccepted(RequestId Id, string Reason) : IMessage;

    /// <summary>
    /// Go on with your life: starts the entity where none runs, and changes nothing where one does.
    /// </summary>
    public sealed record Wake(RequestId Id) : IMessage;

    /// <summary>What is known of you besides tokens? Answered by <see cref="Described"/> or
    /// <see cref="Unknown"/>.</summary>
    public sealed record Describe(RequestId Id) : IMessage;

    /// <param name="Tail">What was asked for, with the last tokens of its prompt only, see
    /// <see cref="PromptTail"/>.</param>
    public sealed record Described(RequestId Id, DateTimeOffset At, int PromptTokens, GenerationSpec Tail) : IMessage
    {
        /// <summary>Tokens committed so far.</summary>
        public int TokenCount { get; init; }

        /// <summary>Null while it is open.</summary>
        public FinishReason? Finished { get; init; }

        /// <summary>Who reads it now.</summary>
        public int Readers { get; init; }

        /// <summary>Whether it has as many readers as it may have.</summary>
        public bool IsFull { get; init; }
    }

    /// <summary>
    /// Send me tokens from this index on, now and as they are committed. A repeated one replaces the sender's earlier
    /// one, so a subscriber that has heard nothing for a while simply subscribes again.
    /// </summary>
    public sealed record Subscribe(RequestId Id, int FromIndex) : IMessage;

    /// <summary>The answer to <see cref="Subscribe"/> when the request has as many readers as it may have.</summary>
    public sealed record TooManyReaders(RequestId Id, int ReadersMax) : IMessage;

    public sealed record Unsubscribe(RequestId Id) : IMessage;

    /// <summary>End it, whoever reads it. Answered, when it comes from somebody, by <see cref="HasEnded"/> once its end
    /// is in the journal, or by <see cref="Unknown"/>.</summary>
    public sealed record CancelRequest(RequestId Id) : IMessage;

    /// <summary>Nothing more is generated.</summary>
    /// <param name="Reason">Not Cancelled when it had ended before.</param>
    public sealed record HasEnded(RequestId Id, FinishReason Reason) : IMessage;

    /// <summary>Committed tokens, to a subscriber.</summary>
    public sealed record TokensAvailable(
        RequestId Id, int FirstIndex, ImmutableArray<int> Tokens, FinishReason? Finished, string? Error)
        : IMessage, IVariableSize
    {
        /// <summary>One for each token, where the request wants them; else none.</summary>
        public ImmutableArray<TokenLogprobs> Logprobs { get; init; } = [];

        /// <summary>Tokens of the prompt that were not computed, because kept pages held them.</summary>
        public int ReusedTokens { get; init; }

        /// <summary>To a reader from the start: of the prompt's tokens from the second on, where the request wants
        /// them.</summary>
        public ImmutableArray<TokenLogprobs> PromptLogprobs { get; init; } = [];

        long IVariableSize.BytesMax => SizeBounds.Frame + SizeBounds.Tokens(Tokens.Length)
            + SizeBounds.Logprobs(Logprobs) + SizeBounds.Logprobs(PromptLogprobs) + SizeBounds.Text(Error);
    }

    /// <summary>What the journal has of the request cannot be read; it can only be deleted, by
    /// <see cref="CancelRequest"/>.</summary>
    public sealed record Damaged(RequestId Id, string Error) : IMessage;

    /// <summary>No request of this id was ever accepted, or its journal has been deleted.</summary>
    public sealed record Unknown(RequestId Id) : IMessage;

    // Entity and the gateway of its own process.

    /// <summary>
    /// Which replica generates for me? Answered by <see cref="Routed"/>, at once or when a layout serves.
    /// </summary>
    /// <param name="Failed">The epoch that the entity was told to use and that did not work, if any.</param>
    public sealed record Route(RequestId Id, Epoch Failed) : IMessage
    {
        /// <summary>Requests whose prompts begin alike had better go to one replica.</summary>
        public ImmutableArray<int> Prompt { get; init; } = [];

        /// <summary>Most tokens that it may come to.</summary>
        public int TokensMax { get; init; }

        public Standing Standing { get; init; } = Standing.Anonymous;

        /// <summary>Whether it has tokens.</summary>
        public bool HasBegun { get; init; }
    }

    /// <summary>The request's first token is in the journal: it does not wait any more.</summary>
    public sealed record Begun(RequestId Id) : IMessage;

    /// <summary>Also sent unasked when a newer epoch serves.</summary>
    public sealed record Routed(RequestId Id, Epoch Epoch, Akka.Actor.IActorRef Replica) : IMessage;

    /// <summary>The request has ended; the gateway forgets it.</summary>
    public sealed record RouteEnded(RequestId Id) : IMessage
    {
        /// <summary>Tokens that it generated.</summary>
        public int Tokens { get; init; }
    }
}
