using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What the next layout is decided from.</summary>
/// <param name="Selection">The nodes that the layout may use, in a stable order, the load, and what is asked
/// for.</param>
/// <param name="Holdings">What every node that answered has, those that leave included.</param>
/// <param name="Serving">The epoch that serves now, if one does.</param>
/// <param name="Caches">The requests in the caches of the serving replicas that are whole.</param>
/// <param name="Leaving">Nodes under notice, with the time that is left.</param>
internal sealed record DecisionInput(
    SelectionInput Selection,
    ImmutableArray<HeldDevice> Holdings,
    ServingEpoch? Serving,
    ImmutableArray<ReplicaCache> Caches,
    ImmutableDictionary<string, TimeSpan> Leaving)
{
    public PlannerOptions Options => Selection.Options;

    public ModelSpec Model => Selection.Model;

    public ImmutableArray<NodeInfo> Staying => Selection.Nodes;
}

/// <summary>An epoch that serves.</summary>
/// <param name="Pages">KV pages of each replica.</param>
internal sealed record ServingEpoch(Epoch Epoch, Layout Layout, ImmutableArray<int> Pages);

/// <summary>The next layout and how each of its devices gets what it needs.</summary>
/// <param name="Pages">KV pages of each replica.</param>
/// <param name="Orders">Weights that a device fetches from peers; what is not listed it has or reads from
/// disk.</param>
/// <param name="Inherited">Which requests go on where with their pages.</param>
/// <param name="Successions">Which old replica hands over to which new ones.</param>
/// <param name="Origin">Null when no pages are gone on with.</param>
/// <param name="KeepsServing">Whether the old layout goes on until the new one is ready.</param>
/// <param name="Notes">What a person should know.</param>
internal sealed record LayoutDecision(
    Layout Layout,
    ImmutableArray<int> Pages,
    ImmutableDictionary<DeviceId, ImmutableArray<WeightOrder>> Orders,
    CacheInheritance Inherited,
    ImmutableArray<Succession> Successions,
    PageOrigin? Origin,
    bool KeepsServing,
    ImmutableArray<string> Notes)
{
    /// <summary>Decides: degrees, then who goes on with which requests, then devices so that the most bytes stay where
    /// they are, then sources for the rest. Pure.</summary>
    /// <exception cref="PlanningException">Nothing fits; the message says what is short.</exception>
    public static LayoutDecision Make(DecisionInput input)
    {
        var model = input.Model;
        var devices = input.Staying.Sum(node => node.Devices.Length);
        var selected = LayoutSelection.Of(input.Selection)
            ?? throw new NoLayoutException(devices == 0
                ? "no node has reported"
                : $"no layout of {model.Name} fits {devices} devices");
        var geometry = new SliceGeometry(model);
        var holdings = HoldingsOf(input);
        var inherited = CacheInheritance.Plan(geometry, input.Caches, holdings, selected.Degrees);
        var numbers = new DeviceNumbers(input.Staying);
        var mapping = DeviceMapper.Map(new MappingProblem(
            geometry,
            selected.Degrees,
            selected.StageLayers,
            selected.StageKinds,
            [.. DeviceKinds.InstancesOf(input.Staying)],
            [.. holdings.Select(held => held with { Device = numbers.Dense(held.Device) })],
            inherited,
            input.Serving is { } serving ? numbers.Dense(serving.Layout) : null));
        return Complete(input, geometry, numbers.Reported(mapping.Layout), holdings, inherited);
    }

    private static LayoutDecision Complete(
        DecisionInput input,
        SliceGeometry geometry,
        Layout layout,
        ImmutableArray<Holding> holdings,
        CacheInheritance inherited)
    {
        var memory = input.Staying
            .SelectMany(node => node.Devices.Select(
                device => (Id: new DeviceId(node.Node, device.Index), device.MemoryBytes)))
            .ToDictionary(device => device.Id, device => device.MemoryBytes);
        var room = new PageRoom(input, geometry, layout, memory, inherited);
        var (pages, keepsServing) = room.Choose();
        var links = MeasuredLinks.From(input.Options, input.Staying);
        var migration = MigrationPlanner.Plan(new MigrationProblem(
            geometry, layout, WithoutCaches(holdings), CacheInheritance.None, links.Usual)
        {
            LinksOf = links.Of,
            Leaving = input.Leaving,
            DiskNodes = [.. input.Staying.Select(node => node.Node)],
            CopyWhileServing = keepsServing && input.Serving is not null,
        });
        return new LayoutDecision(
            layout, pages, OrdersOf(migration), inherited, keepsServing ? room.Successions : [],
            keepsServing ? room.Origin(pages) : null, keepsServing, migration.Notes);
    }

    private static ImmutableArray<Holding> HoldingsOf(DecisionInput input) =>
        [.. input.Holdings.Select(held => new Holding(held.Device, held.Weights, CachesOf(input, held)))];

    /// <summary>Pages of the serving epoch only: those of any other are of no use to anyone.</summary>
    private static ImmutableArray<CacheSlice> CachesOf(DecisionInput input, HeldDevice held)
    {
        if (input.Serving is not { } serving) return [];
        return
        [
            .. held.Positions.Where(position => position.IsRunning && position.Epoch == serving.Epoch).Select(report =>
            {
                var position = report.Assignment.Position;
                var heads = TensorSlices.KvHeads(input.Model, position.Rank, serving.Layout.Degrees.Ranks);
                return new CacheSlice(
                    position.Replica, report.Assignment.Layers, (int)heads.First, (int)heads.End);
            }),
        ];
    }

    private static ImmutableArray<Holding> WithoutCaches(ImmutableArray<Holding> holdings) =>
        [.. holdings.Select(holding => holding with { Caches = [] })];

    private static ImmutableDictionary<DeviceId, ImmutableArray<WeightOrder>> OrdersOf(MigrationPlan migration) =>
        migration.Steps.OfType<MigrationStep.CopyWeights>()
            .Where(copy => copy.From.Kind == SourceKind.Peer)
            .GroupBy(copy => copy.To)
            .ToImmutableDictionary(
                to => to.Key,
                to => to.Select(copy => new WeightOrder(copy.Slice, copy.From.Device)).ToImmutableArray());
}
