using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// The parallelization controller: tries every (P, M, B) on every useful set of device kinds, with as many replicas as
/// fit or as pay, and takes the best by the objective. Pure and deterministic.
/// </summary>
/// <remarks>Algorithm 1 of SpotServe (ASPLOS '24) with two more objectives, memory limits and mixed devices.</remarks>
public sealed class LayoutSearch(SliceGeometry geometry, ICostModel cost, SearchOptions options)
{
    // Above this many kinds only "all of them" and each one alone are tried: subsets would double with each kind.
    private const int KindSubsetsMax = 4;

    /// <summary>Throughputs that differ by a smaller share are the same.</summary>
    private const double RoundingMax = 1e-9;

    /// <summary>The best layout for these instances and this load.</summary>
    /// <exception cref="NoDevicesException">There is no instance.</exception>
    /// <exception cref="PlanningInputException">A rate, size or bound is not usable.</exception>
    /// <exception cref="RankCountException">A rank count that was insisted on does not divide the heads.</exception>
    /// <exception cref="MemoryShortException">Nothing fits into the devices' memory; says by how much.</exception>
    /// <exception cref="NoLayoutException">No combination can be placed.</exception>
    public SearchResult Run(IReadOnlyCollection<Instance> instances, Workload load) =>
        Run(new CountedFleet([.. instances]), load);

    /// <inheritdoc cref="Run(IReadOnlyCollection{Instance}, Workload)"/>
    internal SearchResult Run(CountedFleet counted, Workload load)
    {
        counted.Require();
        load.Require();
        options.Require();
        if (options.RequireRanks)
        {
            foreach (var ranks in options.RankCounts) geometry.RequireRanks(ranks);
        }

        var fleet = counted.Kinds;
        var evaluator = new CandidateEvaluator(geometry, cost, options, load, counted.DeviceCount);
        var shapes = Shapes(fleet, evaluator);
        if (shapes.Count == 0) throw Nothing(fleet, load);
        var (chosen, fit, all) = Choose(shapes, evaluator, load);
        var toServe = options.RateToServe(load);
        return new SearchResult(
            chosen,
            fit,
            counted.InstanceCount - chosen.InstanceCount,
            all.Count,
            [
                .. all.DistinctBy(candidate => (candidate.Degrees, candidate.CostPerHour, candidate.LatencySeconds))
                    .OrderByDescending(candidate => fit != LoadFit.Roomy || IsEnough(candidate, toServe))
                    .ThenBy(candidate => candidate, Order(fit)).Take(options.AlternativesMax),
            ]);
    }

    /// <summary>What certain degrees would give.</summary>
    /// <returns>Null when they do not fit these instances.</returns>
    public Candidate? Evaluate(IReadOnlyCollection<Instance> instances, Workload load, LayoutDegrees degrees) =>
        Evaluate(new CountedFleet([.. instances]), load, degrees);

    /// <inheritdoc cref="Evaluate(IReadOnlyCollection{Instance}, Workload, LayoutDegrees)"/>
    internal Candidate? Evaluate(CountedFleet counted, Workload load, LayoutDegrees degrees)
    {
        var evaluator = new CandidateEvaluator(geometry, cost, options, load, counted.DeviceCount);
        var plan = evaluator.Plan(counted.Kinds, degrees.Ranks, degrees.Stages, degrees.BatchSize);
        return plan is null || plan.ReplicasMax < degrees.Replicas ? null : evaluator.Evaluate(plan, degrees.Replicas);
    }

    private List<ReplicaPlan> Shapes(ImmutableArray<KindFleet> fleet, CandidateEvaluator evaluator)
    {
        var shapes = new List<ReplicaPlan>();
        foreach (var kinds in KindSets(fleet))
        {
            foreach (var ranks in options.RankCounts.Distinct())
            {
                if (geometry.Model.HeadCount % ranks != 0 || Share.Unit % ranks != 0) continue;
                var groups = kinds.Sum(kind => kind.GroupCount(ranks));
                var stagesMax = Math.Min(Math.Min(options.StagesMax, geometry.Model.LayerCount), groups);
                for (var stages = 1; stages <= stagesMax; stages++)
                {
                    if (options.StagesDivide > 0 && options.StagesDivide % stages != 0) continue;
                    if (stages * ranks < options.ReplicaDevicesMin) continue;
                    foreach (var batch in options.BatchSizes.Distinct())
                    {
                        if (evaluator.Plan(kinds, ranks, stages, batch) is { } plan) shapes.Add(plan);
                    }
                }
            }
        }

        return shapes;
    }

    private (Candidate Chosen, LoadFit Fit, List<Candidate> All) Choose(
        List<ReplicaPlan> shapes, CandidateEvaluator evaluator, Workload load)
    {
        var toServe = options.RateToServe(load);
        var full = shapes.ConvertAll(shape => evaluator.Evaluate(shape, shape.ReplicasMax));
        var all = new List<Candidate>(full);
        for (var i = 0; i < shapes.Count && !options.FillFleet && options.Objective != Objective.Throughput; i++)
        {
            var least = shapes[i].ReplicasServing(toServe, load.OutputTokens);
            if (least > 0 && least < shapes[i].ReplicasMax) all.Add(evaluator.Evaluate(shapes[i], least));
            if (options.Objective != Objective.Slo) continue;
            AddSmallest(all, shapes[i], full[i], evaluator, c => c.InTargetProbability >= options.SloProbability);
        }

        var enough = all.Where(candidate => IsEnough(candidate, toServe)).ToList();
        if (enough.Count == 0)
        {
            // Where nothing has room to spare, what has most of it comes nearest.
            var fit = all.Exists(candidate => IsEnough(candidate, load.RequestsPerSecond))
                ? LoadFit.Tight
                : LoadFit.Overloaded;
            return (options.Objective == Objective.Latency ? Busiest() : all.Min(Order(fit))!, fit, all);
        }

        if (options.Objective == Objective.Throughput) return (Busiest(), LoadFit.Roomy, all);
        if (options.Objective != Objective.Latency || options.FillFleet)
            return (enough.Min(Order(LoadFit.Roomy))!, LoadFit.Roomy, all);

        // Near-ties in latency: of those, the cheapest. The smallest D of each shape that is still near the best counts
        // too.
        var limit = enough.Min(candidate => candidate.LatencySeconds) * (1 + options.LatencyTieFraction);
        for (var i = 0; i < shapes.Count; i++)
        {
            AddSmallest(all, shapes[i], full[i], evaluator, IsNearTie);
        }

        var chosen = all.Where(IsNearTie)
            .MinBy(c => (c.CostPerHour, c.InstanceCount, c.LatencySeconds, -c.Throughput, c.Degrees.DeviceCount))!;
        return (chosen, LoadFit.Roomy, all);

        bool IsNearTie(Candidate candidate) => candidate.Throughput >= toServe && candidate.LatencySeconds <= limit;

        // The most requests per second, of the fewest devices that do as many: on processors that are all busy one
        // replica more only takes turns with the others, which costs something that no estimate knows (docs/adr/0058).
        Candidate Busiest()
        {
            if (options.FillFleet) return all.Min(Order(LoadFit.Overloaded))!;
            var most = all.Max(candidate => candidate.Throughput) * (1 - RoundingMax);
            for (var i = 0; i < shapes.Count; i++)
                AddSmallest(all, shapes[i], full[i], evaluator, candidate => candidate.Throughput >= most);
            return all.Where(candidate => candidate.Throughput >= most)
                .MinBy(c => (c.CostPerHour, c.InstanceCount, c.Degrees.DeviceCount, c.LatencySeconds,
                    c.Degrees.Stages, c.Degrees.Ranks, -c.Degrees.BatchSize))!;
        }
    }

    private bool IsEnough(Candidate candidate, double requestsPerSecond) => options.Objective switch
    {
        Objective.Throughput => true,
        Objective.Latency => candidate.Throughput >= requestsPerSecond,
        Objective.Slo => candidate.Throughput >= requestsPerSecond
            && candidate.InTargetProbability >= options.SloProbability,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>Adds the shape with the fewest replicas that pass; what passes with D passes with more.</summary>
    private static void AddSmallest(
        List<Candidate> candidates,
        ReplicaPlan shape,
        Candidate full,
        CandidateEvaluator evaluator,
        Func<Candidate, bool> passes)
    {
        if (!passes(full)) return;
        var (fails, works, smallest) = (0, shape.ReplicasMax, full);
        while (works - fails > 1)
        {
            var middle = (fails + works) / 2;
            var candidate = evaluator.Evaluate(shape, middle);
            if (passes(candidate)) (works, smallest) = (middle, candidate);
            else fails = middle;
        }

        if (works < shape.ReplicasMax) candidates.Add(smallest);
    }

    /// <summary>Best first. Every order ends in the degrees, so that equal candidates have one order.</summary>
    private Comparer<Candidate> Order(LoadFit fit)
    {
        Func<Candidate, (double, double, double, int, int, int)> key = (options.Objective, fit == LoadFit.Roomy) switch
        {
            (Objective.Throughput, _) or (Objective.Latency, false) =>
                c => (-c.Throughput, c.LatencySeconds, c.CostPerHour, c.Degrees.Stages, c.Degrees.Ranks,
                    -c.Degrees.BatchSize),
            (Objective.Latency, true) =>
                c => (c.LatencySeconds, -c.Throughput, c.CostPerHour, c.Degrees.Stages, c.Degrees.Ranks,
                    c.Degrees.BatchSize),
            (Objective.Slo, true) =>
                c => (c.CostPerHour, c.LatencySeconds, -c.Throughput, c.Degrees.Stages, c.Degrees.Ranks,
                    c.Degrees.BatchSize),
            (Objective.Slo, false) =>
                c => (-c.InTargetProbability, -c.Throughput, c.LatencySeconds, c.Degrees.Stages, c.Degrees.Ranks, 0),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        return Comparer<Candidate>.Create((left, right) => key(left).CompareTo(key(right)));
    }

    private static IEnumerable<ImmutableArray<KindFleet>> KindSets(ImmutableArray<KindFleet> fleet)
    {
        if (fleet.Length > KindSubsetsMax)
        {
            yield return fleet;
            foreach (var kind in fleet) yield return [kind];
            yield break;
        }

        for (var set = (1 << fleet.Length) - 1; set >= 1; set--)
        {
            yield return [.. fleet.Where((_, i) => (set >> i & 1) == 1)];
        }
    }

    /// <summary>Why nothing could be placed: the shape that comes nearest in memory, and what it lacks.</summary>
    private PlanningException Nothing(ImmutableArray<KindFleet> fleet, Workload load)
    {
        var devices = fleet.Sum(kind => kind.DeviceCount);
        if (options.ReplicaDevicesMin > devices)
        {
            return new NoLayoutException(
                $"a replica takes at least {options.ReplicaDevicesMin} devices, {devices} are there. Add instances.");
        }

        var cutter = new StageCutter(geometry, options, load);
        (long Short, long Need, string Text)? nearest = null;
        var largest = fleet.MaxBy(kind => kind.Kind.MemoryBytes)!;
        foreach (var ranks in options.RankCounts.Where(m => geometry.Model.HeadCount % m == 0 && Share.Unit % m == 0))
        {
            var stages = Math.Min(
                Math.Min(fleet.Sum(kind => kind.GroupCount(ranks)), options.StagesMax), geometry.Model.LayerCount);
            if (stages < 1) continue;
            var layers = (geometry.Model.LayerCount + stages - 1) / stages;
            var batch = options.BatchSizes.Min();
            var need = cutter.NeedBytes(layers, first: true, last: stages == 1, ranks, batch);
            if (nearest is null || need - largest.Kind.MemoryBytes < nearest.Value.Short)
            {
                nearest = (need - largest.Kind.MemoryBytes, need,
                    $"the nearest is (1,{stages},{ranks}) with B={batch} on {largest.Kind.Name}.");
            }
        }

        return options.CheckMemory && nearest is { Short: > 0 } found
            ? new MemoryShortException(found.Text, found.Need, largest.Kind.MemoryBytes)
            : new NoLayoutException(
                $"{devices} devices, M in {{{string.Join(", ", options.RankCounts)}}} and P up to {options.StagesMax} "
                + $"give no (P, M) that divides {geometry.Model.HeadCount} heads, fits the memory of every stage "
                + "and is known to the cost model. Add devices or allow other rank counts.");
    }
}
