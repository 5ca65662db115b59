using System.Collections.Immutable;
using Akka.Actor;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Replica;

/// <summary>The conversation between a request's entity and the replica that generates its tokens.</summary>
internal static class ReplicaProtocol
{
    public interface IMessage
    {
        Epoch Epoch { get; }

        RequestId Id { get; }
    }

    public interface ICommand : IMessage;

    public interface IEvent : IMessage;

    /// <summary>
    /// Generate, continuing after the committed tokens. Idempotent: a replica that already runs the request answers to
    /// the new sender from these on, so a sender that missed tokens sends it again. One that is to run alone does so
    /// once its entity has said <see cref="RunAlone"/>, which the replica asks for with <see cref="AloneDue"/>.
    /// </summary>
    public sealed record Submit(Epoch Epoch, GenerationRequest Request) : ICommand, IVariableSize
    {
        public RequestId Id => Request.Id;

        /// <summary>Epoch of the replica that ran it before and was lost; null when none did, or when the entity does
        /// not know.</summary>
        public Epoch? LostIn { get; init; }

        /// <summary>The gateway of the entity's process, which passes on to it what comes in <see cref="StepDrew"/> or
        /// alone. Null when the entity wants all of it itself.</summary>
        public IActorRef? Gateway { get; init; }

        long IVariableSize.BytesMax =>
            SizeBounds.Frame + Request.Spec.BytesMax + SizeBounds.Tokens(Request.Committed.Length);
    }

    /// <summary>The replica's pages and a turn are there for a request that is to run alone. Repeated until it is
    /// answered by <see cref="RunAlone"/>; one request of a replica at a time.</summary>
    public sealed record AloneDue(Epoch Epoch, RequestId Id) : IEvent;

    /// <summary>The journal knows that the request runs alone now.</summary>
    public sealed record RunAlone(Epoch Epoch, RequestId Id) : ICommand;

    /// <summary>Stop generating and free the pages within a step. Nothing is answered.</summary>
    public sealed record Cancel(Epoch Epoch, RequestId Id) : ICommand;

    /// <summary>Tokens with their index in the generation, from 0. <paramref name="Finished"/> is set with the last
    /// ones (of which there may be none).</summary>
    public sealed record TokensGenerated(
        Epoch Epoch,
        RequestId Id,
        int FirstIndex,
        ImmutableArray<int> Tokens,
        FinishReason? Finished) : IEvent, IVariableSize
    {
        /// <summary>One for each token, where the request wants them; else none.</summary>
        public ImmutableArray<TokenLogprobs> Logprobs { get; init; } = [];

        /// <summary>With the first token: how many of the prompt were not computed, because kept pages held
        /// them.</summary>
        public int ReusedTokens { get; init; }

        /// <summary>With the first token, or with the end where there is none: of the prompt's tokens from the second
        /// on, where the request wants them.</summary>
        public ImmutableArray<TokenLogprobs> PromptLogprobs { get; init; } = [];

        long IVariableSize.BytesMax => SizeBounds.Frame + SizeBounds.Tokens(Tokens.Length)
            + SizeBounds.Logprobs(Logprobs) + SizeBounds.Logprobs(PromptLogprobs);
    }

    /// <summary>
    /// What one step drew for all requests of one gateway, in one message: a control node has few of them to take, to
    /// check and to wake somebody for, however many streams there are. The gateway passes each on to its entity.
    /// </summary>
    public sealed record StepDrew(Epoch Epoch, ImmutableArray<TokensGenerated> Drawn) : IVariableSize
    {
        long IVariableSize.BytesMax => SizeBounds.Frame + Drawn.Sum(PartBytesMax);

        /// <summary>What one of them takes.</summary>
        internal static long PartBytesMax(TokensGenerated drawn) =>
            ((IVariableSize)drawn).BytesMax - SizeBounds.Frame + SizeBounds.Part + SizeBounds.Text(drawn.Id.Value);
    }

    /// <summary>
    /// The replica cannot take the request, or can no longer go on with it: its queue is full, it stops, or the epoch
    /// (which is the command's) is not the one it serves.
    /// </summary>
    /// <param name="Permanent">True when asking again is of no use: no replica can serve it as it is.</param>
    public sealed record Rejected(Epoch Epoch, RequestId Id, string Reason, bool Permanent = false) : IEvent
    {
        /// <summary>The replica was lost while a step with this request was under way.</summary>
        public bool WasInLostStep { get; init; }
    }
}
