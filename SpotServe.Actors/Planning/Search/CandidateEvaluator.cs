using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Replicas of one (P, M, B) laid over a set of kinds, as many as fit; a candidate takes the first D of
/// them.</summary>
internal sealed record ReplicaPlan(
    ImmutableArray<KindFleet> Kinds,
    int Ranks,
    int Stages,
    int Batch,
    ImmutableArray<ReplicaRun> Runs,
    long MemoryBytes)
{
    public int ReplicasMax => Runs.Sum(run => run.Count);
}

/// <summary>Replicas that are alike, with their costs at rising batch sizes up to B.</summary>
internal sealed record ReplicaRun(
    int Count, ImmutableArray<LayerRange> Layers, ImmutableArray<DeviceKind> Kinds, ReplicaCost[] Costs);

/// <summary>Lays replicas over the devices and works out what they would give.</summary>
internal sealed class CandidateEvaluator(
    SliceGeometry geometry, ICostModel cost, SearchOptions options, Workload load)
{
    private readonly StageCutter _cutter = new(geometry, options, load);
    private readonly Dictionary<(string Kinds, int Ranks, int Batch), ReplicaCost[]> _costs = [];

    /// <summary>The replicas of this shape that the kinds can hold, or null when there is none.</summary>
    public ReplicaPlan? Plan(ImmutableArray<KindFleet> kinds, int ranks, int stages, int batch)
    {
        var runs = ImmutableArray.CreateBuilder<ReplicaRun>();
        var memory = 0L;
        // Groups in order of speed, P after P: all replicas of a kind are alike, and at most one straddles two kinds.
        var left = kinds.Select(kind => kind.GroupCount(ranks)).ToArray();
        var at = 0;
        while (at < left.Length)
        {
            var stageKinds = new List<DeviceKind>(stages);
            var whole = left[at] / stages;
            if (whole > 0)
            {
                stageKinds.AddRange(Enumerable.Repeat(kinds[at].Kind, stages));
                left[at] -= whole * stages;
            }
            else
            {
                whole = 1;
                for (var k = at; k < left.Length && stageKinds.Count < stages; k++)
                {
                    var take = Math.Min(left[k], stages - stageKinds.Count);
                    stageKinds.AddRange(Enumerable.Repeat(kinds[k].Kind, take));
                    left[k] -= take;
                }

                if (stageKinds.Count < stages) break;
            }

            while (at < left.Length && left[at] == 0) at++;
            if (_cutter.Cut(stageKinds, ranks, batch) is not { } layers) continue;
            var shape = Shape(kinds, stageKinds, layers, ranks);
            if (!cost.Knows(shape)) return null;
            runs.Add(new ReplicaRun(whole, layers, [.. stageKinds], Costs(shape, batch)));
            for (var p = 0; p < stages; p++)
            {
                memory = Math.Max(
                    memory, _cutter.NeedBytes(layers[p].Count, p == 0, p == stages - 1, ranks, batch));
            }
        }

        return runs.Count == 0 ? null : new ReplicaPlan(kinds, ranks, stages, batch, runs.ToImmutable(), memory);
    }

    /// <summary>What the first D replicas of a plan would give under the load.</summary>
    public Candidate Evaluate(ReplicaPlan plan, int replicas)
    {
        Invariant.Holds(replicas >= 1 && replicas <= plan.ReplicasMax);
        var taken = ImmutableArray.CreateBuilder<ReplicaTemplate>(plan.Runs.Length);
        var left = replicas;
        var throughput = 0.0;
        foreach (var run in plan.Runs)
        {
            var count = Math.Min(left, run.Count);
            if (count == 0) break;
            left -= count;
            taken.Add(new ReplicaTemplate(count, run.Layers, run.Kinds, run.Costs[^1]));
            throughput += count * run.Costs[^1].Throughput(load.OutputTokens);
        }

        // Requests go where they are served first: in proportion to throughput.
        var used = load.RequestsPerSecond / throughput;
        var execution = 0.0;
        for (var i = 0; i < taken.Count; i++)
        {
            var full = taken[i].Cost.Throughput(load.OutputTokens);
            var part = taken[i].Count * full / throughput;
            execution += part * AtLoad(plan.Runs[i].Costs, Math.Min(1, used) * full).Execution(load.OutputTokens);
        }

        // Fixed batches: a replica is one server for as long as its batch runs. Continuous: every slot is one.
        var servers = replicas * (options.Batching == Batching.Fixed ? 1 : plan.Batch);
        var queue = options.CountWait
            ? QueueEstimate.Of(load.RequestsPerSecond, throughput, servers, execution, load.ArrivalVariation)
            : new QueueEstimate(0, 0);
        var (instances, price) = Occupied(plan, taken);
        return new Candidate(
            new LayoutDegrees(replicas, plan.Stages, plan.Ranks, plan.Batch),
            taken.ToImmutable(),
            execution,
            queue.Wait,
            throughput,
            instances,
            price,
            plan.MemoryBytes,
            used > 1 && options.CountWait ? 0 : queue.AtMost(options.SloTarget.TotalSeconds - execution));
    }

    /// <summary>The smallest batch that keeps up with the replica's share of the load: with continuous batching no more
    /// requests are together than that; a fixed batch is always run as B.</summary>
    private ReplicaCost AtLoad(ReplicaCost[] costs, double requestsPerSecond)
    {
        if (options.Batching == Batching.Fixed) return costs[^1];
        foreach (var atBatch in costs)
        {
            if (atBatch.Throughput(load.OutputTokens) >= requestsPerSecond) return atBatch;
        }

        return costs[^1];
    }

    private static (int Instances, double PricePerHour) Occupied(ReplicaPlan plan, IEnumerable<ReplicaTemplate> taken)
    {
        var groups = new Dictionary<DeviceKind, int>();
        foreach (var template in taken)
        {
            foreach (var kind in template.Kinds) groups[kind] = groups.GetValueOrDefault(kind) + template.Count;
        }

        var (instances, price) = (0, 0.0);
        foreach (var fleet in plan.Kinds)
        {
            if (!groups.TryGetValue(fleet.Kind, out var count)) continue;
            var used = fleet.InstancesFor(count, plan.Ranks);
            instances += used;
            price += used * fleet.Kind.PricePerHour * fleet.DevicesMax;
        }

        return (instances, price);
    }

    private static ReplicaShape Shape(
        ImmutableArray<KindFleet> kinds,
        List<DeviceKind> stageKinds,
        ImmutableArray<LayerRange> layers,
        int ranks) => new(
        [.. stageKinds.Select((kind, p) => new StageShape(
            layers[p].Count, kind, kinds.First(fleet => fleet.Kind == kind).DevicesMax < ranks))],
        ranks);

    /// <summary>Costs at the batch sizes up to B that were asked for, rising; only B itself with fixed
    /// batches.</summary>
    private ReplicaCost[] Costs(ReplicaShape shape, int batch)
    {
        var stages = string.Join(',', shape.Stages.Select(s => $"{s.Layers}{s.Kind.Name}{s.SpansInstances}"));
        var key = (stages, shape.Ranks, batch);
        if (_costs.TryGetValue(key, out var known)) return known;
        IEnumerable<int> sizes = options.Batching == Batching.Fixed
            ? [batch]
            : options.BatchSizes.Where(size => size <= batch).Distinct().Order();
        return _costs[key] = [.. sizes.Select(size => cost.Cost(shape, size, load, options.Batching))];
    }
}
