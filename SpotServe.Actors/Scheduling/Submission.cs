namespace SpotServe.Actors.Scheduling;

/// <summary>Outcome of giving a request to the scheduler.</summary>
public abstract record Submission
{
    private Submission()
    {
    }

    /// <summary>It waits for admission.</summary>
    public sealed record Queued : Submission
    {
        internal static Queued Instance { get; } = new();
    }

    /// <summary>It was submitted before and is not over: nothing changed.</summary>
    public sealed record Known(Sequence Sequence) : Submission;

    /// <summary>The committed tokens are already all there is to generate: nothing was queued.</summary>
    public sealed record Complete(FinishReason Reason) : Submission;

    /// <summary>Too many requests wait. Another replica, or this one later, can take it.</summary>
    public sealed record QueueFull(int QueuedRequestsMax) : Submission;

    /// <summary>It can never run here: the prompt leaves no room for a token.</summary>
    public sealed record TooLong(int PromptTokens, int PromptTokensMax) : Submission;

    /// <summary>It can never run anywhere: it is malformed.</summary>
    public sealed record Malformed(string Reason) : Submission;
}

/// <summary>What a completed step did for one sequence.</summary>
/// <param name="Index">Index in the generation of the token, or of the one that did not come.</param>
/// <param name="Token">The new token; null when the sequence ended without one (stop token, cancelled).</param>
/// <param name="Finished">Why it ended, or null while it goes on.</param>
/// <param name="PagesFreed">Pages that went free with it.</param>
/// <param name="Error">Why it failed, when it did.</param>
public readonly record struct SequenceOutcome(
    Sequence Sequence, int Index, int? Token, FinishReason? Finished, int PagesFreed, string? Error = null)
{
    /// <summary>The token's, where the request wants them.</summary>
    public TokenLogprobs? Logprobs { get; init; }
}
