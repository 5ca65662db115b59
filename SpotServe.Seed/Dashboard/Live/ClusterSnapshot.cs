using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fleet;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>The whole cluster at one moment, as the dashboard shows it. Immutable: all pages share it.</summary>
internal sealed record ClusterSnapshot
{
    public required DateTimeOffset At { get; init; }

    public required string Model { get; init; }

    public PlannerPhase Phase { get; init; } = PlannerPhase.Gathering;

    /// <summary>One line for people: what is served, or what is waited for.</summary>
    public string StatusLine { get; init; } = "waiting for the planner";

    /// <summary>The epoch that serves; 0 before the first.</summary>
    public long Epoch { get; init; }

    /// <summary>Degrees of the layout that serves or gets ready, "1,2,2"; null before the first.</summary>
    public string? Degrees { get; init; }

    /// <summary>Whether requests are taken and computed now.</summary>
    public bool Serves { get; init; }

    public ImmutableArray<ReplicaView> Replicas { get; init; } = [];

    public ImmutableArray<NodeView> Nodes { get; init; } = [];

    public LoadView Load { get; init; } = new(0, 0, 0, 0, 0);

    public CostView Cost { get; init; } = CostView.Unknown;

    /// <summary>Reconfigurations, the latest first.</summary>
    public ImmutableArray<ReconfigurationRecord> Timeline { get; init; } = [];

    /// <summary>One sample a second, oldest first.</summary>
    public ImmutableArray<LoadSample> History { get; init; } = [];

    /// <summary>Who starts and stops machines; null where nobody says so.</summary>
    public FleetProtocol.FleetReport? Fleet { get; init; }

    /// <summary>Whether nodes are processes that this seed can kill and start.</summary>
    public bool IsLocal { get; init; }
}

/// <summary>A replica of the layout: its stages in order, each with its ranks in order.</summary>
/// <param name="IsServing">It takes requests; else it gets ready or is lost.</param>
/// <param name="PagesUsed">KV pages of its requests; null before it has reported.</param>
internal sealed record ReplicaView(
    int Index,
    bool IsServing,
    ImmutableArray<StageView> Stages,
    int Running,
    int Queued,
    int? PagesUsed,
    int PageCount);

/// <param name="Layers">"layers 0 to 3".</param>
internal sealed record StageView(int Index, string Layers, ImmutableArray<RankView> Ranks);

/// <summary>What the device on one position holds.</summary>
/// <param name="Node">The short name.</param>
/// <param name="State">Of its node.</param>
/// <param name="WeightBytes">Of the position's share of the model.</param>
/// <param name="LoadedBytes">Of those, how many are there; all, once the position is ready.</param>
/// <param name="PageBytes">Keys and values of the pages that are in use.</param>
/// <param name="PageBytesMax">Of all pages; 0 before the replica has reported.</param>
internal sealed record RankView(
    int Index, string Device, string Node, NodeState State, long WeightBytes, long LoadedBytes, long PageBytes,
    long PageBytesMax)
{
    /// <summary>Bytes that are on their way to the device.</summary>
    public long InFlight => WeightBytes - LoadedBytes;
}

internal enum NodeState
{
    /// <summary>A position of the layout is on it.</summary>
    Serving,

    /// <summary>It gets weights for the next layout.</summary>
    Loading,

    /// <summary>No layout uses it now.</summary>
    Spare,

    /// <summary>It has notice.</summary>
    Leaving,

    /// <summary>It reported until a moment ago.</summary>
    Gone,
}

/// <summary>A machine, or on one machine a process that stands for one.</summary>
/// <param name="Id">The cluster's name of it: what an operator's orders take.</param>
/// <param name="Name">The short name, "node 2".</param>
/// <param name="Price">An hour; null when nobody has said.</param>
/// <param name="Deadline">When its cloud takes it; null without notice.</param>
/// <param name="CanBeKilled">It is a process of this machine's fleet.</param>
internal sealed record NodeView(
    string Id, string Name, int Number, NodeState State, string Kind, string Memory, string? Type, string? Zone,
    bool IsSpot, double? Price, DateTimeOffset? Deadline, bool CanBeKilled)
{
    /// <summary>When it was missed first; null while it reports.</summary>
    public DateTimeOffset? GoneAt { get; init; }
}

/// <param name="Running">Requests with pages.</param>
/// <param name="Waiting">Requests that no step computes yet.</param>
/// <param name="Open">Accepted by this control node and not ended.</param>
internal sealed record LoadView(int Running, int Waiting, int Open, int OpenMax, double TokensPerSecond);

/// <param name="TimeToFirst">Of the whole cluster, seconds; null where no request began in the window.</param>
/// <param name="BetweenTokens">Of the whole cluster, seconds; null where none was generated in the window.</param>
public sealed record LoadSample(
    DateTimeOffset At, double TokensPerSecond, int Running, int Waiting, Percentiles? TimeToFirst,
    Percentiles? BetweenTokens, long Epoch);

/// <summary>Seconds below which half, 95 % and 99 % of the values lie.</summary>
public sealed record Percentiles(double P50, double P95, double P99);

/// <summary>What the machines cost.</summary>
/// <param name="PerHour">Of the nodes whose price is known; null when none is.</param>
/// <param name="PerMillionTokens">At the present rate of tokens; null when nothing is generated.</param>
/// <param name="Unpriced">Nodes whose price is not known.</param>
internal sealed record CostView(double? PerHour, double? PerMillionTokens, int Unpriced)
{
    public static CostView Unknown { get; } = new(null, null, 0);
}
