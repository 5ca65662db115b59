using System.Collections.Immutable;
using System.Globalization;

namespace SpotServe.Actors.Execution;

/// <summary>
/// Why a step came to nothing, for a reason that lies in what it was asked to compute and not in a device or a peer.
/// The replica goes on: nothing that the step wrote counts, so the same chunks can be run again without the culprits.
/// </summary>
/// <param name="Reason">What went wrong, for people.</param>
/// <param name="Faults">The chunks that are known to be the cause; empty when the culprit is not known.</param>
public sealed record StepFailure(string Reason, ImmutableArray<ChunkFault> Faults)
{
    /// <summary>Frames of the stack that are kept: the innermost.</summary>
    private const int FramesMax = 6;

    /// <summary>Where an exception came from, for the log and never for a client; empty when the engine knew what it
    /// refused.</summary>
    public string Trace { get; init; } = "";

    /// <summary>What one exception says; an unnamed failure unless it is a <see cref="StepFailedException"/>.</summary>
    public static StepFailure Of(Exception error) => error is StepFailedException failed
        ? failed.Failure
        : new StepFailure($"{error.GetType().Name}: {error.Message}", [])
        {
            Trace = string.Join('\n', (error.StackTrace ?? "").Split('\n').Take(FramesMax)),
        };

    /// <summary>Whether an engine's exception concerns the step alone. A lost peer or device, and a process without
    /// memory, concern the epoch.</summary>
    public static bool IsOfTheStep(Exception error) =>
        error is not (PeerLostException or EngineLostException or ObjectDisposedException or OutOfMemoryException
            or AccessViolationException or InsufficientExecutionStackException);

    /// <summary>Chunks that hold a token which the model does not have; null when there is none.</summary>
    public static StepFailure? OfTokens(StepPlan plan, int vocabularySize)
    {
        List<ChunkFault>? faults = null;
        for (var index = 0; index < plan.Chunks.Length; index++)
        {
            ref readonly var chunk = ref plan.Chunks[index];
            foreach (var token in plan.Tokens.Slice(chunk.TokenOffset, chunk.Count))
            {
                if ((uint)token < (uint)vocabularySize) continue;
                (faults ??= []).Add(new ChunkFault(index, OutsideVocabulary(token, vocabularySize)));
                break;
            }
        }

        return faults is null ? null : new StepFailure(faults[0].Reason, [.. faults]);
    }

    /// <summary>Sampling chunks for which a token was drawn that the model does not have; null when there is
    /// none.</summary>
    /// <param name="drawn">One token for each sampling chunk.</param>
    public static StepFailure? OfDrawn(StepPlan plan, ReadOnlySpan<int> drawn, int vocabularySize)
    {
        for (var sample = 0; sample < drawn.Length; sample++)
        {
            if ((uint)drawn[sample] < (uint)vocabularySize) continue;
            var reason = $"the engine drew token {drawn[sample]}; the model's vocabulary has {vocabularySize} tokens";
            return new StepFailure(reason, [new ChunkFault(plan.ChunkOfSample(sample), reason)]);
        }

        return null;
    }

    /// <summary>How a token id that a model does not have is complained of, wherever that is found.</summary>
    public static string OutsideVocabulary(int token, int vocabularySize) => string.Create(
        CultureInfo.InvariantCulture,
        $"token id {token} is outside the model's vocabulary of {vocabularySize} tokens (0 to {vocabularySize - 1})");
}

/// <summary>A chunk that made its step fail.</summary>
/// <param name="Chunk">Index in <see cref="StepPlan.Chunks"/>.</param>
public readonly record struct ChunkFault(int Chunk, string Reason);

/// <summary>
/// Thrown out of <see cref="IStageEngine.Step"/> and by collectives: the step failed, the device and its peers did not.
/// </summary>
public sealed class StepFailedException(StepFailure failure) : Exception(failure.Reason)
{
    public StepFailure Failure { get; } = failure;
}
