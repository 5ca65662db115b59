using SpotServe.Actors.Execution;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>What the planner was asked for, and how long it waits for whom.</summary>
public sealed record PlannerOptions
{
    /// <summary>Is told when the planner's own journal fails or is damaged.</summary>
    public JournalHealth Journal { get; init; } = new();

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

    /// <summary>Longest wait for what nodes hold while one of them is said to be lost; a node that was accused and
    /// does not answer by then is lost.</summary>
    public TimeSpan AccusedAnswerMax { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Longest wait for what nodes hold; one that does not answer by then is lost.</summary>
    public TimeSpan AnswerMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Events within this time make one plan; a loss is planned for at once.</summary>
    public TimeSpan Coalesce { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>When no layout fits, it is tried again after this, or when a node joins.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>First wait after a layout failed before it served; doubles with each further failure, up to 32
    /// times.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Longest wait for full pages to be over before the old layout stops without them.</summary>
    public TimeSpan PreCopyPagesMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest wait for old replicas to hand over, once they were told to stop.</summary>
    public TimeSpan CutOverMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest wait for the old layout's memory to be given back.</summary>
    public TimeSpan ReleaseMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A command that is not answered is repeated after this.</summary>
    public TimeSpan RepeatAfter { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Time that a node which leaves the cluster without a notice is taken to have.</summary>
    public TimeSpan LeaveMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Before a notice's deadline the old layout stops this much earlier, ready or not: the node itself leaves
    /// 2 s before it, and until then the rest has to be handed over.</summary>
    public TimeSpan DeadlineReserve { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>Before a notice's deadline the new layout serves this much earlier, with what it was handed over by
    /// then: a little before the node leaves.</summary>
    public TimeSpan HandoverReserve { get; init; } = TimeSpan.FromSeconds(2.5);

    /// <summary>Whether the old layout goes on while bytes move (ours) or stops first (the paper's way, kept to
    /// compare).</summary>
    public MigrationMode Mode { get; init; } = MigrationMode.CopyWhileServing;

    /// <summary>What the operator says of the rates that weights come at: holds, whatever nodes measure.</summary>
    public SourceRates Stated { get; init; } = SourceRates.Unknown;

    /// <summary>Rates that sources are chosen by where nobody has stated or measured any.</summary>
    public LinkRates Links { get; init; } = LinksDefault;

    /// <summary>10 Gb/s between nodes, and local disks at half of that.</summary>
    public static LinkRates LinksDefault { get; } = new(6e9, 1.25e9, 0.6e9, 0, 0.0005);

    /// <summary>Longest wait for what a node that joins measures; without it, others' rates are taken for its
    /// own.</summary>
    public TimeSpan ProbeMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>While a layout gets ready: a node of it that has not reported for this long is asked whether it
    /// lives.</summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A node that has not reported for this long is taken for lost.</summary>
    public TimeSpan NodeSilenceMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>First time for which two nodes that do not reach each other are not used together; doubles with each
    /// failed try after it.</summary>
    public TimeSpan Apart { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Longest such time.</summary>
    public TimeSpan ApartMax { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Two nodes of which one was silent to the other are watched more closely for this long.</summary>
    public TimeSpan Doubt { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Longest wait for such two to connect.</summary>
    public TimeSpan DoubtedConnectMax { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Longest time without progress in loading or connecting before the layout is given up.</summary>
    public TimeSpan ProgressMax { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Journal entries after which all that matters is written anew, and what is older than the time before
    /// that deleted: some four a reconfiguration.</summary>
    public int CheckpointEvery { get; init; } = 400;

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
