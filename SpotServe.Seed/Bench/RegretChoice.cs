using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Seed.Bench;

/// <summary>What the planner says of layouts, from the inputs of a cluster that runs. Pure.</summary>
/// <param name="inputs">With a search; what serves, what devices hold and what an operator asked for does not count
/// here.</param>
internal sealed class RegretChoice(PlanningInputs inputs)
{
    private readonly PlanningInputs _inputs = inputs with
    {
        Serving = null,
        Wanted = null,
        Holdings = [],
        Caches = [],
    };

    /// <summary>All degrees that the search may choose, by number of devices.</summary>
    public ImmutableArray<LayoutDegrees> Feasible()
    {
        var devices = _inputs.Instances.Sum(instance => instance.DeviceCount);
        var (model, options) = (_inputs.Model, Options(Objective.Latency));
        var all =
            from ranks in options.RankCounts
            where model.HeadCount % ranks == 0 && Share.Unit % ranks == 0
            from stages in Enumerable.Range(1, Math.Min(devices, model.LayerCount))
            from replicas in Enumerable.Range(1, devices)
            where replicas * stages * ranks <= devices
            let degrees = new LayoutDegrees(replicas, stages, ranks, _inputs.SequencesMax)
            where Predicted(new Workload(0, 1, 1), degrees) is not null
            orderby degrees.DeviceCount, replicas, stages
            select degrees;
        return [.. all];
    }

    /// <summary>What it expects of degrees under a load; null when they do not fit.</summary>
    public Candidate? Predicted(Workload load, LayoutDegrees degrees) =>
        new LayoutSearch(new SliceGeometry(_inputs.Model), _inputs.CostModel(), Options(Objective.Latency))
            .Evaluate(_inputs.Instances, load, degrees);

    /// <summary>What a cluster where nothing serves yet would serve this load with.</summary>
    public LayoutDegrees Chosen(Objective objective, Workload load) =>
        LayoutSelection.Of(_inputs with { Search = Options(objective), Load = load }).Degrees;

    private SearchOptions Options(Objective objective)
    {
        var options = _inputs.Search
            ?? throw new InvalidOperationException("The cluster was started without an objective.");
        return options with { Objective = objective };
    }
}
