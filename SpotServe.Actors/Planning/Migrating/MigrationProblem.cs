using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>What is to be moved: from what the devices hold to what the target layout needs.</summary>
/// <param name="Holdings">Of every device that can be reached, those that are leaving included.</param>
/// <param name="Inherited">Which requests' pages go to which new replica.</param>
internal sealed record MigrationProblem(
    SliceGeometry Geometry,
    Layout Target,
    ImmutableArray<Holding> Holdings,
    CacheInheritance Inherited,
    LinkRates Links)
{
    /// <summary>The old replicas' requests, kept or not: what their pages take until they are freed.</summary>
    public ImmutableArray<ReplicaCache> Caches { get; init; } = [];

    /// <summary>Bytes that weights and KV pages may take on a device at any moment (the paper's U_max).</summary>
    public long BudgetBytes { get; init; } = long.MaxValue;

    /// <summary>Budgets of devices that differ from <see cref="BudgetBytes"/>.</summary>
    public ImmutableDictionary<DeviceId, long> BudgetOf { get; init; } = ImmutableDictionary<DeviceId, long>.Empty;

    /// <summary>Nodes that go away, with the time that is left to them.</summary>
    public ImmutableDictionary<string, TimeSpan> Leaving { get; init; } = ImmutableDictionary<string, TimeSpan>.Empty;

    /// <summary>Rates of nodes that differ from <see cref="Links"/>; between two nodes the lower one counts.</summary>
    public ImmutableDictionary<string, LinkRates> LinksOf { get; init; } =
        ImmutableDictionary<string, LinkRates>.Empty;

    /// <summary>Nodes with a copy of the model on their local disk.</summary>
    public ImmutableHashSet<string> DiskNodes { get; init; } = [];

    /// <summary>Whether the old layout goes on while bytes move (ours) or stops first (the paper).</summary>
    public bool CopyWhileServing { get; init; } = true;

    /// <summary>Time of a cut-over beside its transfers: handing over the sequences, the first step of the new
    /// layout.</summary>
    public TimeSpan CutOverOverhead { get; init; }

    public LinkRates LinksFor(string node) => LinksOf.GetValueOrDefault(node, Links);

    public long BudgetFor(DeviceId device) => BudgetOf.GetValueOrDefault(device, BudgetBytes);

    /// <exception cref="PlanningException">A name is doubled, a rate or time is not usable.</exception>
    public void Require()
    {
        Links.Require();
        foreach (var links in LinksOf.Values) links.Require();
        Geometry.RequireRanks(Target.Degrees.Ranks);
        Inputs.Distinct(Holdings.Select(holding => holding.Device), "device");
        Inputs.Distinct(Target.Placement, "placed device");
        Inputs.Distinct(Caches.Select(cache => cache.Replica), "replica");
        Inputs.AtLeast(BudgetBytes, 1, "The memory budget");
        foreach (var (node, left) in Leaving) Inputs.NotNegative(left.TotalSeconds, $"Time left to {node}");
        foreach (var device in Target.Placement)
        {
            if (!Leaving.ContainsKey(device.Node)) continue;
            throw new PlanningInputException("A device of the target", device, "on a node that does not leave");
        }
    }
}
