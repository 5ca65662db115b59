using System.Runtime.CompilerServices;

namespace SpotServe.Actors.Scheduling;

/// <summary>Bounds of a replica's scheduler. Checked when set, their relations by <see cref="Check"/>.</summary>
public sealed record SchedulerLimits
{
    /// <summary>Most tokens of a step, decode and prefill together.</summary>
    public required int StepTokensMax { get; init => field = InRange(value, 1_048_576); }

    /// <summary>Most tokens of one sequence's prefill in a step; what is left waits for its next step. A prompt is cut
    /// at multiples of this, wherever the step has room: the same prompt is then cut in the same places
    /// always.</summary>
    public required int PrefillChunkTokensMax { get; init => field = InRange(value, 1_048_576); }

    /// <summary>B: most sequences that hold pages at once, hence also the most chunks of a step.</summary>
    public required int SequencesMax { get; init => field = InRange(value, 65_536); }

    /// <summary>Requests that may wait for admission; suspended ones (at most B) come on top.</summary>
    public required int QueuedRequestsMax { get; init => field = InRange(value, 65_536); }

    /// <summary>KV pages of the replica.</summary>
    public required int PageCount { get; init => field = InRange(value, 16_777_216); }

    /// <summary>P: most steps in flight.</summary>
    public required int StepsInFlightMax { get; init => field = InRange(value, 1_024); }

    /// <summary>Most tokens of a sequence, prompt and generation together.</summary>
    public required int ContextMax { get; init => field = InRange(value, 16_777_216); }

    /// <summary>Token ids are below it: a request that holds another can run nowhere.</summary>
    public int VocabularySize { get; init => field = InRange(value, int.MaxValue); } = int.MaxValue;

    /// <summary>Where the keys of kept prompts begin, see <see cref="PrefixKey.Root"/>; null keeps none, so that every
    /// prompt is computed whole.</summary>
    public PrefixKey? PrefixRoot { get; init; }

    /// <summary>Throws unless the limits fit each other.</summary>
    /// <exception cref="ArgumentException">Two limits contradict; the message says which and what to do.</exception>
    public void Check()
    {
        if (StepTokensMax < SequencesMax)
        {
            throw new ArgumentException(
                $"StepTokensMax is {StepTokensMax}, less than SequencesMax {SequencesMax}: a step could not advance "
                + "every sequence. Raise StepTokensMax or lower SequencesMax.");
        }

        if (ContextMax < 2)
        {
            throw new ArgumentException(
                $"ContextMax is {ContextMax}; it must hold a prompt token and a generated one: set 2 or more.");
        }

        if (KvPage.Count(ContextMax) > PageCount)
        {
            throw new ArgumentException(
                $"ContextMax is {ContextMax}, but {PageCount} pages hold {PageCount * (long)KvPage.Tokens} tokens: one "
                + $"sequence could not finish. Lower ContextMax or give {KvPage.Count(ContextMax)} pages.");
        }
    }

    private static int InRange(int value, int max, [CallerMemberName] string name = "") =>
        Bounds.Between(value, 1, max, name);
}
