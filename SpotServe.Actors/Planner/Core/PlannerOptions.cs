using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What the planner was asked for.</summary>
public sealed record PlannerOptions
{
    /// <summary>The layout to serve; null lets the planner pick one for the nodes that are there.</summary>
    public LayoutDegrees? Wanted { get; init; }

    /// <summary>What layouts are chosen for while none is asked for; null fills the devices with one replica.</summary>
    public LayoutObjective? Objective { get; init; }

    /// <summary>When the load is worth a change of layout.</summary>
    public FollowOptions Follow { get; init; } = new();

    /// <summary>Bounds of the wish for machines.</summary>
    public FleetRules Fleet { get; init; } = new();

    /// <summary>Mark of the cluster's secret; null takes that of the first node that reports.</summary>
    public string? SecretMark { get; init; }

    /// <summary>Takes only nodes whose data plane is encrypted; else all must be as the first node that
    /// reports.</summary>
    public bool RequiresEncryptedData { get; init; }

    /// <summary>
    /// Devices to wait for before the first layout; fewer are used once <see cref="PlannerLimits.GatherMax"/> is over.
    /// </summary>
    public int DevicesExpected { get; init; } = 1;

    /// <summary>How long it waits for whom.</summary>
    /// <exception cref="ArgumentException">They contradict each other.</exception>
    public PlannerLimits Limits { get; init => field = value.InOrder(); } = new PlannerLimits().InOrder();

    /// <summary>Whether the old layout goes on while bytes move (ours) or stops first (the paper's way, kept to
    /// compare).</summary>
    public MigrationMode Mode { get; init; } = MigrationMode.CopyWhileServing;

    /// <summary>What the operator says of the rates that weights come at: holds, whatever nodes measure.</summary>
    public SourceRates Stated { get; init; } = SourceRates.Unknown;

    /// <summary>Rates that sources are chosen by where nobody has stated or measured any.</summary>
    public LinkRates Links { get; init; } = LinksDefault;

    /// <summary>Times that were measured for the model before; null estimates them from what devices tell of
    /// themselves. Either is corrected by what replicas report.</summary>
    public ProfileTable? Profile { get; init; }

    /// <summary>10 Gb/s between nodes, and local disks at half of that.</summary>
    public static LinkRates LinksDefault { get; } = new(6e9, 1.25e9, 0.6e9, 0, 0.0005);

    /// <summary>Journal entries after which all that matters is written anew, and what is older than the time before
    /// that deleted: some four a reconfiguration.</summary>
    public int CheckpointEvery { get; init; } = 400;

    /// <summary>B: sequences that a replica runs at once.</summary>
    public int SequencesMax
    {
        get;
        init => field = Bounds.Between(value, 1, 1024);
    } = 64;

    /// <summary>Tokens of one engine step, prefill and decode together.</summary>
    public int StepTokensMax
    {
        get;
        init => field = Bounds.Between(value, 16, 65_536);
    } = 512;

    /// <summary>Whether what prompts have in common is computed once.</summary>
    public bool KeepsPrefixes { get; init; } = true;

    /// <summary>Kept free on each device for activations and temporaries.</summary>
    public long WorkingBytes { get; init; } = 256L << 20;
}
