using System.Collections.Immutable;

namespace SpotServe.Actors.Execution;

/// <summary>
/// The leader's end of a replica: steps go in at one side, drawn tokens come out at the other, in order. Implemented
/// over the data plane, and directly over a fake engine in tests. One owner; not thread-safe.
/// </summary>
public interface IStepPipeline : IDisposable
{
    /// <summary>P: steps that can be in flight at once without one waiting for another.</summary>
    int StageCount { get; }

    /// <summary>Begins delivery. Callbacks come from another thread, one at a time, never from within a call.</summary>
    /// <param name="onResult">Once for each step, in the order of submission.</param>
    /// <param name="onLost">At most once and then nothing more: a rank is gone and the epoch cannot go on.</param>
    void Start(Action<StepResult> onResult, Action<Exception> onLost);

    /// <summary>
    /// Sends a plan to every rank. It is copied: the caller may reuse it at once. Does not block on the network.
    /// </summary>
    void Submit(StepPlan plan);
}

/// <summary>Tokens that a step drew, one for each sampling chunk of its plan, in chunk order.</summary>
public sealed record StepResult(long StepId, ImmutableArray<int> Tokens)
{
    /// <summary>As many as tokens, null where a chunk asked for none; empty where no chunk did.</summary>
    public ImmutableArray<TokenLogprobs?> Logprobs { get; init; } = [];

    /// <summary>One for each of the plan's <see cref="StepPlan.ScoredRows"/>.</summary>
    public ImmutableArray<TokenLogprobs> Scores { get; init; } = [];

    /// <summary>Set when the step failed: it drew nothing, and nothing that it wrote into pages counts.</summary>
    public StepFailure? Failure { get; init; }
}
