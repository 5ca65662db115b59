using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>What the planner was asked for, and how long it waits for whom.</summary>
public sealed record PlannerOptions
{
    /// <summary>The layout to serve; null lets the planner pick one for the nodes that are there.</summary>
    public LayoutDegrees? Wanted { get; init; }

    /// <summary>Mark of the cluster's secret; null takes that of the first node that reports.</summary>
    public string? SecretMark { get; init; }

    /// <summary>
    /// Devices to wait for before the first layout; fewer are used once <see cref="GatherMax"/> is over.
    /// </summary>
    public int DevicesExpected { get; init; } = 1;

    /// <summary>Longest wait for the expected devices before serving with fewer.</summary>
    public TimeSpan GatherMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>After a loss: time in which survivors report before the next layout is chosen.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>A node that has not reported for this long is taken for lost.</summary>
    public TimeSpan NodeSilenceMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest time without progress in loading or connecting before the layout is given up.</summary>
    public TimeSpan ProgressMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>B: sequences that a replica runs at once.</summary>
    public int SequencesMax
    {
        get;
        init => field = value is >= 1 and <= 1024
            ? value
            : throw new ArgumentOutOfRangeException(nameof(SequencesMax), value, "Must be 1 to 1024.");
    } = 64;

    /// <summary>Tokens of one engine step, prefill and decode together.</summary>
    public int StepTokensMax
    {
        get;
        init => field = value is >= 16 and <= 65_536
            ? value
            : throw new ArgumentOutOfRangeException(nameof(StepTokensMax), value, "Must be 16 to 65536.");
    } = 512;

    /// <summary>Kept free on each device for activations and temporaries.</summary>
    public long WorkingBytes { get; init; } = 256L << 20;
}
