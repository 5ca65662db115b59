using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>A change of layout, from the choice to the last free.</summary>
/// <param name="Migration">What moves, in the order in which executors work: weights, then pages.</param>
/// <param name="CutOver">When the old layout stops.</param>
public sealed record Reconfiguration(
    SelectedLayout Selected,
    Mapping Mapping,
    CacheInheritance Inherited,
    PagePlan Pages,
    MigrationPlan Migration,
    CutOver CutOver)
{
    public Layout Layout => Mapping.Layout;
}

/// <summary>
/// The one decision: from holdings, load and notices to steps, by selection, inheritance, mapping, pages, migration and
/// arrangement in turn. The planner of a live cluster, the plan verb and the simulator call it with the same inputs.
/// </summary>
public static class ReconfigurationPlanner
{
    /// <summary>Chooses a layout and plans the way to it.</summary>
    /// <exception cref="PlanningException">It cannot be planned; the subtype and message say why.</exception>
    public static Reconfiguration Plan(PlanningInputs inputs)
    {
        inputs.Require();
        var selected = LayoutSelection.Of(inputs);
        var geometry = new SliceGeometry(inputs.Model);
        var inherited = CacheInheritance.Plan(geometry, inputs.Caches, inputs.Holdings, selected.Degrees);
        var mapping = DeviceMapper.Map(
            new MappingProblem(
                geometry,
                selected.Degrees,
                selected.StageLayers,
                selected.StageKinds,
                inputs.Instances,
                inputs.Holdings,
                inherited,
                inputs.Serving?.Layout),
            inputs.Levels);
        var pages = PagePlan.Of(inputs, mapping.Layout, inherited);
        var serves = inputs.Serving is not null;
        var migration = MigrationPlanner.Plan(
            new MigrationProblem(
                geometry,
                mapping.Layout,
                serves && pages.KeepsServing ? inputs.Holdings : WithoutCaches(inputs.Holdings),
                serves && pages.KeepsServing ? inherited : CacheInheritance.None,
                inputs.Links)
            {
                Caches = inputs.Caches,
                LinksOf = inputs.LinksOf,
                Leaving = inputs.Leaving,
                DiskNodes = inputs.DiskNodes,
                CopyWhileServing = serves && pages.KeepsServing && inputs.Mode == MigrationMode.CopyWhileServing,
                CutOverOverhead = inputs.CutOverOverhead,
            });
        return new Reconfiguration(
            selected, mapping, inherited, pages, migration, CutOverOf(inputs, geometry, migration));
    }

    /// <summary>What gave its pages up has none to send.</summary>
    private static ImmutableArray<Holding> WithoutCaches(ImmutableArray<Holding> holdings) =>
        [.. holdings.Select(holding => holding with { Caches = [] })];

    private static CutOver CutOverOf(PlanningInputs inputs, SliceGeometry geometry, MigrationPlan migration)
    {
        if (inputs.Serving is not { } serving)
        {
            return new CutOver.AfterSteps(
                0, TimeSpan.Zero, migration.Duration, inputs.JoinIn is not null, "nothing serves yet");
        }

        var left = inputs.Leaving.IsEmpty ? (TimeSpan?)null : inputs.Leaving.Values.Min();
        var clock = inputs.Clock ?? ClockOf(inputs, geometry, serving.Layout);
        return Arrangement.Decide(new ArrangementInput(clock, left, inputs.JoinIn), migration);
    }

    private static StepClock ClockOf(PlanningInputs inputs, SliceGeometry geometry, Layout current)
    {
        var shape = ReplicaShape.Even(
            geometry.Model.LayerCount,
            current.Degrees.Stages,
            current.Degrees.Ranks,
            inputs.Instances.MinBy(instance => instance.Kind.WeightBytesPerSecond)!.Kind,
            inputs.Instances.Max(instance => instance.DeviceCount) < current.Degrees.Ranks);
        var batching = inputs.Search?.Batching ?? Batching.Continuous;
        var step = inputs.CostModel().Cost(shape, current.Degrees.BatchSize, inputs.Load, batching).Step;
        return new StepClock(step, step);
    }
}
