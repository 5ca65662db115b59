using System.Collections.Immutable;

namespace SpotServe.Actors.Scheduling;

/// <summary>A sequence between two replicas: all that is needed to go on with it.</summary>
/// <param name="Generated">Tokens generated so far.</param>
/// <param name="CachedTokens">Tokens, prompt included, that its last replica had in pages.</param>
/// <param name="Pages">Pages of the replica that it is with (or comes to) that hold these tokens, exactly as many as
/// they need; none when the pages are not to be had, so that they are computed anew.</param>
public sealed record SequenceState(
    RequestId Id,
    GenerationSpec Spec,
    ImmutableArray<int> Generated,
    int CachedTokens,
    ImmutableArray<int> Pages)
{
    /// <summary>Of the last so many generated tokens, see <see cref="Sequence.Logprobs"/>.</summary>
    public ImmutableArray<TokenLogprobs> Logprobs { get; init; } = [];

    /// <summary>How many of the first pages were kept for all prompts that begin alike.</summary>
    public int KeptPages { get; init; }

    /// <summary>It is yet to be run alone, or was just about it: where it goes on it asks for that anew.</summary>
    public bool RunsAlone { get; init; }
}

/// <summary>What became of adopted sequences.</summary>
/// <param name="Kept">Sequences that go on from their pages.</param>
/// <param name="Waiting">Sequences that wait with their tokens.</param>
/// <param name="TokensRecomputed">Tokens that had been in a cache and have to be computed anew.</param>
/// <param name="Ended">Sequences with nothing left to generate under this replica's limits: not taken.</param>
public sealed record Adoption(
    int Kept, int Waiting, long TokensRecomputed, ImmutableArray<EndedSequence> Ended);

/// <summary>A sequence that had nothing left to generate.</summary>
public sealed record EndedSequence(SequenceState Sequence, FinishReason Reason);
