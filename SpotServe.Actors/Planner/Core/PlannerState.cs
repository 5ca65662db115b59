using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>All that the planner knows. Immutable; <see cref="PlannerCore"/> makes the next one.</summary>
internal sealed record PlannerState
{
    public required JournalState Journal { get; init; }

    /// <summary>What is under way, with its own data.</summary>
    public required Phase Phase { get; init; }

    /// <summary>For a person: what the planner does or waits for.</summary>
    public required string StatusLine { get; init; }

    /// <summary>Nodes that report, in the order of their names: so placements are the same whoever came
    /// first.</summary>
    public ImmutableSortedDictionary<string, KnownNode> Nodes { get; init; } =
        ImmutableSortedDictionary.Create<string, KnownNode>(StringComparer.Ordinal);

    /// <summary>Their names: of thousands, those of one address are found without looking through all.</summary>
    public ImmutableSortedSet<string> Names { get; init; } =
        ImmutableSortedSet.Create<string>(StringComparer.Ordinal);

    /// <summary>Counts the changes of who is there and what nodes say of themselves.</summary>
    public long Roster { get; init; }

    /// <summary>Of the nodes as they were when it was made last; null before.</summary>
    public DeviceSurvey? Survey { get; init; }

    /// <summary>Nodes that go away.</summary>
    public ImmutableSortedDictionary<string, Departure> Leaving { get; init; } =
        ImmutableSortedDictionary.Create<string, Departure>(StringComparer.Ordinal);

    /// <summary>Nodes that somebody takes for lost, until they answer.</summary>
    public ImmutableSortedDictionary<string, Signs> Accused { get; init; } =
        ImmutableSortedDictionary.Create<string, Signs>(StringComparer.Ordinal);

    public Separations Separations { get; init; } = Separations.None;

    /// <summary>Nodes that no layout uses for a time: another one does not reach them.</summary>
    public ImmutableSortedSet<string> LeftOut { get; init; } =
        ImmutableSortedSet.Create<string>(StringComparer.Ordinal);

    public ImmutableList<IAddress> Gateways { get; init; } = [];

    /// <summary>What each gateway reported last of what is asked of it.</summary>
    public ImmutableDictionary<IAddress, (GatewayDemand Demand, DateTimeOffset At)> Demand { get; init; } =
        ImmutableDictionary<IAddress, (GatewayDemand, DateTimeOffset)>.Empty;

    /// <summary>What was asked lately.</summary>
    public LoadMemory LoadMemory { get; init; } = LoadMemory.None;

    /// <summary>What replicas' step times have taught.</summary>
    public CostCorrections Learned { get; init; } = CostCorrections.None;

    /// <summary>What devices and replicas said that they hold when they were last asked.</summary>
    public HeardHoldings Heard { get; init; } = HeardHoldings.None;

    /// <summary>The latest decision of this planner; null before the first.</summary>
    public PlannedChange? Planned { get; init; }

    /// <summary>What layouts are chosen for; null fills the devices with one replica.</summary>
    public LayoutObjective? Objective { get; init; }

    /// <summary>When the load is looked at next.</summary>
    public DateTimeOffset FollowAt { get; init; }

    /// <summary>When the wish for machines is thought over next.</summary>
    public DateTimeOffset FleetAt { get; init; }

    /// <summary>Another layout would serve the load better; null when the present one does.</summary>
    public Drift? Drift { get; init; }

    /// <summary>Since when this planner runs: nobody was silent to it for longer.</summary>
    public DateTimeOffset StartedAt { get; init; }

    /// <summary>Who serves; null when nobody does or it was given up.</summary>
    public ActiveEpoch? Active { get; init; }

    /// <summary>After a start: what served when the journal ended, until its devices have said whether it still
    /// does.</summary>
    public CheckpointedEpoch? Claim { get; init; }

    /// <summary>The plan to be made as soon as nothing else is under way.</summary>
    public DuePlan? Due { get; init; }

    /// <summary>What became of the requests that lost their replicas.</summary>
    public Aftermath Aftermath { get; init; } = new(Epoch.None);

    /// <summary>Degrees that an operator asked for; null lets the planner choose.</summary>
    public LayoutDegrees? Wanted { get; init; }

    /// <summary>Changes that were given up since one was completed.</summary>
    public int FailedInARow { get; init; }

    /// <summary>Whether a layout has served since this planner started.</summary>
    public bool HasServed { get; init; }

    /// <summary>The layout that failed last before it served, and why.</summary>
    public Setback? Setback { get; init; }

    /// <summary>Since when nobody serves, if the last one was lost.</summary>
    public DateTimeOffset? LostAllAt { get; init; }

    /// <summary>Number of the latest question for holdings.</summary>
    public long Round { get; init; }

    public ModelSpec? Model => Nodes.IsEmpty ? null : Nodes.First().Value.Model;

    /// <summary>What served last; its replicas may be lost by now, or not known yet.</summary>
    public Layout? ServedLast => Active?.Layout ?? Claim?.Layout;

    /// <summary>Nodes that a layout may use.</summary>
    public ImmutableArray<NodeInfo> Staying =>
    [
        .. Nodes.Values.Select(node => node.Info).Where(node =>
            !Leaving.ContainsKey(node.Node) && !node.Devices.IsEmpty && !LeftOut.Contains(node.Node)),
    ];

    /// <summary>Names of the nodes whose names begin like this.</summary>
    public ImmutableArray<string> NamesFrom(string prefix)
    {
        var found = ImmutableArray.CreateBuilder<string>();
        var at = Names.IndexOf(prefix);
        // The complement of where it would be.
        for (var i = at < 0 ? ~at : at; i < Names.Count; i++)
        {
            if (!Names[i].StartsWith(prefix, StringComparison.Ordinal)) break;
            found.Add(Names[i]);
        }

        return found.ToImmutable();
    }

    /// <summary>Whether a replica that serves or may serve has a position on this node.</summary>
    public bool ServesOn(string node) => ServedLast is { } layout && layout.Uses(node);
}

/// <param name="SeenAt">Of its last report.</param>
internal sealed record KnownNode(NodeInfo Info, ModelSpec Model, IAddress Address, DateTimeOffset SeenAt)
{
    /// <summary>When it was last told that it may go.</summary>
    public DateTimeOffset ToldToGoAt { get; init; }

    /// <summary>Until then its rates are waited for; null while it was not asked for them.</summary>
    public DateTimeOffset? ProbeUntil { get; init; }

    public bool WasProbed => ProbeUntil is not null;

    public bool IsProbing(DateTimeOffset now) => Info.Rates is null && now < ProbeUntil;
}

/// <param name="IsTold">By a notice; false when the deadline was taken because the membership changed before a notice
/// came.</param>
internal sealed record Departure(DateTimeOffset Deadline, bool IsTold);

/// <summary>What speaks for a node's end.</summary>
[Flags]
internal enum Signs
{
    /// <summary>Somebody says so.</summary>
    Word = 0,

    /// <summary>It closed its data-plane links, as those do that lost another one, too.</summary>
    LinksClosed = 1,

    /// <summary>It closed its control connection.</summary>
    ControlClosed = 2,

    /// <summary>Its machine says that nobody listens where its control plane did.</summary>
    NobodyListens = 4,
}

internal static class SignsExtensions
{
    /// <summary>Only the end of a process closes its control connection and either its links or the port that it
    /// listened on. A node that is wrongly taken for gone joins anew with its next report, and has lost no more than
    /// the replica that it had broken anyway.</summary>
    public static bool ProveTheEnd(this Signs signs) =>
        signs.HasFlag(Signs.ControlClosed) && (signs & (Signs.LinksClosed | Signs.NobodyListens)) != 0;
}

/// <param name="Since">Without a break.</param>
internal sealed record Drift(DateTimeOffset Since);

/// <param name="BusyShare">Of the time since the report before it in which the replica had a request, 0 to 1.</param>
internal sealed record LoadReport(ReplicaControlProtocol.ReplicaLoad Load, DateTimeOffset At, double BusyShare)
{
    /// <summary>Of a replica that reported <paramref name="before"/> last.</summary>
    public static LoadReport After(
        LoadReport? before, ReplicaControlProtocol.ReplicaLoad load, DateTimeOffset now)
    {
        if (before is null || now <= before.At) return new LoadReport(load, now, load.Running > 0 ? 1 : 0);
        var share = (load.BusyTime - before.Load.BusyTime) / (now - before.At);
        return new LoadReport(load, now, Math.Clamp(share, 0, 1));
    }
}

internal sealed record DuePlan(Cause Cause, DateTimeOffset At);

/// <summary>A layout failed before it served, for a reason that lies in a device or the model.</summary>
/// <param name="Times">How often in a row this layout did for this reason.</param>
internal sealed record Setback(Layout Layout, string Reason, int Times)
{
    /// <summary>Failures after which it is not tried again while something serves.</summary>
    private const int TimesMax = 2;

    /// <summary>Null while it may be tried again; else one sentence for the operator.</summary>
    public string? Verdict => Times < TimesMax
        ? null
        : $"{Layout.Degrees} failed {Times} times and is not tried again until nodes or wishes change: {Reason}";

    /// <summary>With one more failure.</summary>
    public static Setback Of(Setback? before, Layout layout, string reason) => new(
        layout, reason, before is not null && before.Layout.IsSameAs(layout) && before.Reason == reason
            ? before.Times + 1
            : 1);
}

/// <summary>An epoch that serves.</summary>
/// <param name="Replicas">Leaders of those that are whole; empty when all were lost.</param>
/// <param name="Loads">What they reported last.</param>
internal sealed record ActiveEpoch(
    ServingEpoch Serving,
    ImmutableSortedDictionary<int, IAddress> Replicas,
    ImmutableSortedDictionary<int, LoadReport> Loads)
{
    public Epoch Epoch => Serving.Epoch;

    public Layout Layout => Serving.Layout;

    public bool IsServing => !Replicas.IsEmpty;

    /// <summary>Whether the device is part of a replica that serves.</summary>
    public bool IsAlive(DeviceId device)
    {
        var index = Layout.Placement.IndexOf(device);
        return index >= 0 && Replicas.ContainsKey(Layout.PositionAt(index).Replica);
    }

    /// <summary>All devices that are part of a replica that serves: to ask of many.</summary>
    public HashSet<DeviceId> Alive() =>
        [.. Replicas.Keys.SelectMany(Layout.PositionsOf).Select(Layout.DeviceAt)];
}
