using System.Runtime.CompilerServices;

namespace SpotServe.Actors.Replica;

/// <summary>Bounds of a replica's waits and memories.</summary>
internal sealed record ReplicaSettings
{
    public static ReplicaSettings Default { get; } = new();

    /// <summary>How often the parent hears the load.</summary>
    public TimeSpan LoadPeriod { get; init => field = Positive(value); } = TimeSpan.FromSeconds(1);

    /// <summary>How often those who submitted a request that gets no tokens yet hear that it is here: less than their
    /// patience, <see cref="Requests.RequestOptions.SilenceMax"/>.</summary>
    public TimeSpan StillHerePeriod { get; init => field = Positive(value); } = TimeSpan.FromSeconds(2);

    /// <summary>How long a request whose sender died goes on, waiting for another sender to submit it again.</summary>
    public TimeSpan OrphanGrace { get; init => field = Positive(value); } = TimeSpan.FromSeconds(30);

    /// <summary>A pipeline that owes a result for this long counts as lost. Dead peers are found much sooner by the
    /// data plane; this bounds the wait for one that lives and never answers. Measured in whole load periods.</summary>
    public TimeSpan StepTimeout { get; init => field = Positive(value); } = TimeSpan.FromSeconds(60);

    /// <summary>How often full pages of sequences that are handed over are looked for.</summary>
    public TimeSpan HandoverPeriod { get; init => field = Positive(value); } = TimeSpan.FromMilliseconds(50);

    /// <summary>A new replica that does not take a round of pages for this long gets no more rounds.</summary>
    public TimeSpan RoundAnswerMax { get; init => field = Positive(value); } = TimeSpan.FromSeconds(10);

    /// <summary>After the first sequences were handed over: longest wait for all the others and their pages.</summary>
    public TimeSpan HandoverMax { get; init => field = Positive(value); } = TimeSpan.FromSeconds(5);

    /// <summary>So many requests that failed one after another, each alone in its step, with no step succeeding in
    /// between and none of them named: the engine is broken, not they, and the replica counts as lost.</summary>
    public int UnexplainedEndsMax
    {
        get;
        init => field = Bounds.Between(value, 1, 65_536);
    } = 8;

    /// <summary>Finished requests whose tokens are kept for a sender that missed them.</summary>
    public int FinishedRequestsMax
    {
        get;
        init => field = Bounds.Between(value, 1, 65_536);
    } = 512;

    private static TimeSpan Positive(TimeSpan value, [CallerMemberName] string name = "") =>
        value > TimeSpan.Zero
            ? value
            : throw new ArgumentOutOfRangeException(name, value, $"{name} must be longer than zero.");
}
