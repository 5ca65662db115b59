using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Which of several layouts that are about as good is changed to: the one that has the fewest bytes moved. What is
/// expected of them differs by less than the estimates err, and what they move by gigabytes (docs/adr/0088).
/// </summary>
internal static class NearTies
{
    /// <summary>In larger fleets placing each of them would hold up the change.</summary>
    private const int DevicesMax = 256;

    private const int ComparedMax = 6;

    /// <summary>The choice of a search, or another one of its candidates that is near it, is not dearer, and moves
    /// less.</summary>
    public static Candidate LeastMoved(PlanningInputs inputs, SearchOptions options, SearchResult found)
    {
        // Where nobody holds anything, all is to be loaded, and more replicas are no dearer for that.
        if (inputs.Holdings.All(holding => holding.Weights.IsEmpty)) return found.Chosen;
        if (found.Chosen.Degrees.DeviceCount > DevicesMax) return found.Chosen;
        var near = Of(inputs, options, found);
        return near.Length == 1 ? near[0] : near.MinBy(candidate => MovedBytes(inputs, candidate))!;
    }

    /// <summary>The search's choice, and what is near it, best first; each placement once.</summary>
    internal static ImmutableArray<Candidate> Of(PlanningInputs inputs, SearchOptions options, SearchResult found)
    {
        var (best, share) = (found.Chosen, 1 + (inputs.Margin / 2));
        var toServe = options.RateToServe(inputs.Load);
        return
        [
            .. found.Alternatives.Where(IsNear).Prepend(best)
                .DistinctBy(one => (one.Degrees.Replicas, one.Degrees.Stages, one.Degrees.Ranks)).Take(ComparedMax),
        ];

        // What would be left again for the best is no choice.
        bool IsNear(Candidate other) => other.CostPerHour <= best.CostPerHour
            && other.InstanceCount <= best.InstanceCount
            && !LayoutSelection.IsBetter(options, best, other, inputs.Load, inputs.Margin)
            && (options.Objective, found.Fit == LoadFit.Roomy) switch
            {
                (Objective.Throughput, _) or (Objective.Latency, false) => other.Throughput * share >= best.Throughput,
                (Objective.Latency, true) => other.Throughput >= toServe
                    && other.LatencySeconds <= best.LatencySeconds * share,
                (Objective.Slo, true) => other.Throughput >= toServe
                    && other.InTargetProbability >= options.SloProbability,
                // What comes nearest to a target that nothing meets.
                (Objective.Slo, false) => false,
                _ => throw new System.Diagnostics.UnreachableException(),
            };
    }

    /// <summary>Weights that come from elsewhere, less the pages that stay where they are: a measure to compare layouts
    /// by, since all of them need the same pages.</summary>
    internal static long MovedBytes(PlanningInputs inputs, Candidate candidate)
    {
        var geometry = new SliceGeometry(inputs.Model);
        var mapping = DeviceMapper.Map(
            new MappingProblem(
                geometry,
                candidate.Degrees,
                candidate.StageLayers(),
                inputs.Counted.IsMixed ? candidate.StageKinds() : [],
                inputs.Instances,
                inputs.Holdings,
                CacheInheritance.Plan(geometry, inputs.Caches, inputs.Holdings, candidate.Degrees),
                inputs.Serving?.Layout),
            inputs.Levels);
        var layout = mapping.Layout;
        return layout.Positions.Sum(position => LayoutAssembly.WeightBytes(inputs.Model, layout, position))
            - mapping.ReusedBytes;
    }
}
