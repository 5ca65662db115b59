using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Everything that a change of layout is planned from.</summary>
/// <param name="Instances">Machines that stay (or have joined); those that leave appear in <see cref="Leaving"/>
/// only.</param>
public sealed record ReconfigurationRequest(
    SliceGeometry Geometry,
    ImmutableArray<Instance> Instances,
    Workload Load,
    ICostModel Cost,
    LinkRates Links)
{
    public SearchOptions Options { get; init; } = new();

    /// <summary>The layout that serves now, if one does.</summary>
    public Layout? Current { get; init; }

    /// <summary>What every device that can be reached holds, those that leave included.</summary>
    public ImmutableArray<Holding> Holdings { get; init; } = [];

    /// <summary>The requests in the caches of the replicas that serve now.</summary>
    public ImmutableArray<ReplicaCache> Caches { get; init; } = [];

    /// <summary>Nodes that go away, with the time that is left to them.</summary>
    public ImmutableDictionary<string, TimeSpan> Leaving { get; init; } = ImmutableDictionary<string, TimeSpan>.Empty;

    /// <summary>Until instances that are part of the plan are ready; null when all are.</summary>
    public TimeSpan? JoinIn { get; init; }

    /// <summary>Nodes with the model on their local disk.</summary>
    public ImmutableHashSet<string> DiskNodes { get; init; } = [];

    public MappingLevels Levels { get; init; } = MappingLevels.Two;

    public bool CopyWhileServing { get; init; } = true;

    /// <summary>Time of a cut-over beside its transfers.</summary>
    public TimeSpan CutOverOverhead { get; init; }

    /// <summary>The serving layout's step time; null lets the cost model say.</summary>
    public StepClock? Clock { get; init; }
}

/// <summary>A change of layout, from the choice to the last free.</summary>
public sealed record Reconfiguration(
    SearchResult Search, Mapping Mapping, CacheInheritance Inherited, MigrationPlan Migration, CutOver CutOver);

/// <summary>From holdings, load and notices to steps: search, inheritance, mapping, migration and arrangement in
/// turn.</summary>
public static class ReconfigurationPlanner
{
    /// <summary>Chooses a layout and plans the way to it.</summary>
    /// <exception cref="PlanningException">The request cannot be planned; the subtype and message say why.</exception>
    public static Reconfiguration Plan(ReconfigurationRequest request)
    {
        var search = new LayoutSearch(request.Geometry, request.Cost, request.Options)
            .Run(request.Instances, request.Load);
        return Plan(request, search);
    }

    /// <summary>Plans the way to a layout that was chosen already.</summary>
    public static Reconfiguration Plan(ReconfigurationRequest request, SearchResult search)
    {
        foreach (var node in request.Leaving.Keys)
        {
            if (request.Instances.Any(instance => instance.Node == node))
            {
                throw new DuplicateIdException("instance (it both stays and leaves)", node);
            }
        }

        var chosen = search.Chosen;
        var mixed = request.Instances.Select(instance => instance.Kind.Name).Distinct().Skip(1).Any();
        var inherited = CacheInheritance.Plan(request.Geometry, request.Caches, request.Holdings, chosen.Degrees);
        var mapping = DeviceMapper.Map(
            new MappingProblem(
                request.Geometry,
                chosen.Degrees,
                chosen.StageLayers(),
                mixed ? chosen.StageKinds() : [],
                request.Instances,
                request.Holdings,
                inherited,
                request.Current),
            request.Levels);
        var budgets = ImmutableDictionary.CreateBuilder<DeviceId, long>();
        foreach (var instance in request.Instances)
        {
            foreach (var device in instance.Devices) budgets.Add(device, instance.Kind.MemoryBytes);
        }

        var migration = MigrationPlanner.Plan(
            new MigrationProblem(request.Geometry, mapping.Layout, request.Holdings, inherited, request.Links)
            {
                Caches = request.Caches,
                BudgetOf = request.Options.CheckMemory
                    ? budgets.ToImmutable()
                    : ImmutableDictionary<DeviceId, long>.Empty,
                Leaving = request.Leaving,
                DiskNodes = request.DiskNodes,
                CopyWhileServing = request.CopyWhileServing && request.Current is not null,
                CutOverOverhead = request.CutOverOverhead,
            });
        return new Reconfiguration(search, mapping, inherited, migration, Decide(request, migration));
    }

    private static CutOver Decide(ReconfigurationRequest request, MigrationPlan migration)
    {
        if (request.Current is not { } current)
        {
            return new CutOver.AfterSteps(
                0, TimeSpan.Zero, migration.Duration, request.JoinIn is not null, "nothing serves yet");
        }

        var left = request.Leaving.IsEmpty ? (TimeSpan?)null : request.Leaving.Values.Min();
        var clock = request.Clock ?? ClockOf(request, current);
        return Arrangement.Decide(new ArrangementInput(clock, left, request.JoinIn), migration);
    }

    private static StepClock ClockOf(ReconfigurationRequest request, Layout current)
    {
        var shape = ReplicaShape.Even(
            request.Geometry.Model.LayerCount,
            current.Degrees.Stages,
            current.Degrees.Ranks,
            request.Instances.MinBy(instance => instance.Kind.WeightBytesPerSecond)!.Kind,
            request.Instances.Max(instance => instance.DeviceCount) < current.Degrees.Ranks);
        var step = request.Cost.Cost(shape, current.Degrees.BatchSize, request.Load, request.Options.Batching).Step;
        return new StepClock(step, step);
    }
}
