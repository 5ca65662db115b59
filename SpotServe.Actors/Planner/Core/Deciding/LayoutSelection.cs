using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What degrees and stages are chosen from.</summary>
/// <param name="Objective">Null fills the devices with one replica, whatever the load.</param>
/// <param name="Wanted">Degrees that an operator asked for; they hold wherever the devices allow them.</param>
/// <param name="Nodes">Nodes that the layout may use.</param>
/// <param name="Cost">How fast replicas are; only asked when there is an objective.</param>
/// <param name="Present">Degrees that serve now, if any do.</param>
internal sealed record SelectionInput(
    PlannerOptions Options,
    LayoutObjective? Objective,
    LayoutDegrees? Wanted,
    ModelSpec Model,
    ImmutableArray<NodeInfo> Nodes,
    Workload Load,
    ICostModel Cost,
    LayoutDegrees? Present);

/// <summary>Degrees with the layers of each stage.</summary>
/// <param name="StageKinds">D x P device kinds that the stages were cut for; empty when all devices are alike.</param>
/// <param name="GainPerRequest">Seconds that each request takes less than in the present layout; 0 where that is not
/// the point.</param>
internal sealed record SelectedLayout(
    LayoutDegrees Degrees,
    ImmutableArray<LayerRange> StageLayers,
    ImmutableArray<string> StageKinds,
    double GainPerRequest = 0)
{
    public static SelectedLayout Even(LayoutDegrees degrees, ModelSpec model) => new(
        degrees, Layout.EvenStages(model.LayerCount, degrees.Replicas, degrees.Stages), []);
}

/// <summary>Which degrees a set of devices serves with: the ones that were asked for, else the best by the objective,
/// else one replica over all of them. The present ones are left only for what is better by a margin.</summary>
internal static class LayoutSelection
{
    /// <returns>Null when no layout of the model fits so many devices.</returns>
    /// <exception cref="PlanningException">Nothing fits the devices' memory.</exception>
    public static SelectedLayout? Of(SelectionInput input)
    {
        var (options, model) = (input.Options, input.Model);
        var devices = input.Nodes.Sum(node => node.Devices.Length);
        if (devices == 0) return null;
        if (input.Wanted is { } wanted
            && LayoutConstraints.Violation(wanted, model.LayerCount, model.HeadCount, devices) is null)
        {
            return SelectedLayout.Even(wanted, model);
        }

        if (input.Objective is { } objective) return Best(input, objective);
        return LayoutConstraints.Default(model.LayerCount, model.HeadCount, devices, options.SequencesMax) is { } fill
            ? SelectedLayout.Even(fill, model)
            : null;
    }

    private static SelectedLayout Best(SelectionInput input, LayoutObjective objective)
    {
        var search = new LayoutSearch(
            new SliceGeometry(input.Model), input.Cost, SearchOf(input.Options, objective));
        ImmutableArray<Instance> instances = [.. DeviceKinds.InstancesOf(input.Nodes)];
        var best = search.Run(instances, input.Load).Chosen;
        var present = input.Present is { } degrees ? search.Evaluate(instances, input.Load, degrees) : null;
        var gain = present is null ? 0 : present.LatencySeconds - best.LatencySeconds;
        return present is null || IsBetter(objective, best, present, input.Load, input.Options.Follow.Margin)
            ? Selected(best, instances, Math.Max(0, gain))
            : Selected(present, instances, 0);
    }

    private static SearchOptions SearchOf(PlannerOptions options, LayoutObjective objective) => new()
    {
        Objective = objective.Kind,
        BatchSizes = [options.SequencesMax],
        MigrationBufferBytes = options.WorkingBytes,
        SloTarget = objective.SloTarget,
        SloProbability = objective.SloShare,
    };

    private static SelectedLayout Selected(
        Candidate candidate, ImmutableArray<Instance> instances, double gain) => new(
        candidate.Degrees,
        candidate.StageLayers(),
        instances.Select(instance => instance.Kind.Name).Distinct().Skip(1).Any() ? candidate.StageKinds() : [],
        gain);

    /// <summary>By more than the margin, so that estimates that waver move nothing.</summary>
    internal static bool IsBetter(
        LayoutObjective objective, Candidate best, Candidate present, Workload load, double margin)
    {
        if (best.Degrees == present.Degrees) return false;
        var (serves, served) = (Serves(best), Serves(present));
        return objective.Kind switch
        {
            Objective.Throughput => best.Throughput > present.Throughput * (1 + margin),
            _ when !served => best.Throughput > present.Throughput * (1 + margin),
            // What serves now with little to spare is not left for what hardly serves.
            Objective.Latency => serves && (best.LatencySeconds * (1 + margin) < present.LatencySeconds
                || IsCheaper(best.LatencySeconds <= present.LatencySeconds * (1 + (margin / 2)))),
            Objective.Slo => serves && (best.InTargetProbability >= objective.SloShare) switch
            {
                true when present.InTargetProbability < objective.SloShare => true,
                var meets => IsCheaper(meets),
            },
            _ => throw new System.Diagnostics.UnreachableException(),
        };

        bool Serves(Candidate candidate) => candidate.Throughput >= load.RequestsPerSecond * (1 + margin);

        bool IsCheaper(bool isGoodEnough) => isGoodEnough && Price(best) * (1 + margin) < Price(present);

        // Without prices an instance costs what any other does.
        double Price(Candidate candidate) =>
            present.CostPerHour > 0 ? candidate.CostPerHour : candidate.InstanceCount;
    }
}
