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
    public int ReplicasMax { get; } = Runs.Sum(run => run.Count);

    /// <summary>Devices in all, those that no replica uses included.</summary>
    public required int FleetDevices { get; init; }

    /// <summary>How many times as long a replica of a run takes while so many replicas are busy, itself
    /// included.</summary>
    public double Slowdown(ReplicaRun run, ReplicaCost cost, double busyReplicas)
    {
        // With fewer micro-batches than stages some stages always wait for their turn.
        if (!run.SharesProcessors) return 1;
        var running = busyReplicas * Ranks * Math.Min(Stages, cost.StepParts);
        var share = Math.Min(1, running / FleetDevices);
        var slowdown = run.Kinds.Max(kind => kind.Slowdown(share));
        return slowdown * (cost.Slowing?.At(run.Kinds.Max(kind => kind.Demand(share))) ?? 1);
    }

    /// <summary>Requests per second of the first so many replicas with full batches.</summary>
    public double Throughput(int replicas, int outputTokens)
    {
        var (left, throughput) = (replicas, 0.0);
        foreach (var run in Runs)
        {
            var count = Math.Min(left, run.Count);
            left -= count;
            throughput += count * run.Costs[^1].Throughput(outputTokens) / Slowdown(run, run.Costs[^1], replicas);
        }

        return throughput;
    }

    /// <summary>The fewest replicas that serve a load, or 0 when all of them do not.</summary>
    public int ReplicasServing(double requestsPerSecond, int outputTokens)
    {
        if (Kinds.Any(fleet => fleet.Kind.Crowding > 1))
        {
            return Enumerable.Range(1, ReplicasMax)
                .FirstOrDefault(count => Throughput(count, outputTokens) >= requestsPerSecond);
        }

        var (replicas, served) = (0, 0.0);
        foreach (var run in Runs)
        {
            var each = run.Costs[^1].Throughput(outputTokens);
            for (var count = NeededOf(each, requestsPerSecond - served); count <= run.Count; count++)
            {
                if (served + (count * each) >= requestsPerSecond) return Math.Max(1, replicas + count);
            }

            replicas += run.Count;
            served += run.Count * each;
        }

        return 0;
    }

    /// <summary>A little under the quotient: the caller's comparison decides, not the division's rounding.</summary>
    private static int NeededOf(double each, double missing) =>
        (int)Math.Clamp(Math.Floor(missing / each) - 1, 0, int.MaxValue / 2);
}

/// <summary>Replicas that are alike, with their costs at rising batch sizes up to B.</summary>
internal sealed record ReplicaRun(
    int Count, ImmutableArray<LayerRange> Layers, ImmutableArray<DeviceKind> Kinds, ReplicaCost[] Costs)
{
    /// <summary>Whether a device of it may have to share its processor with others.</summary>
    public bool SharesProcessors { get; } = Kinds.Any(kind => kind.Crowding > 1);
}

/// <summary>Lays replicas over the devices and works out what they would give.</summary>
/// <param name="fleetDevices">Devices in all.</param>
internal sealed class CandidateEvaluator(
    SliceGeometry geometry, ICostModel cost, SearchOptions options, Workload load, int fleetDevices)
{
    private readonly StageCutter _cutter = new(geometry, options, load);
    private readonly Dictionary<(StagesKey Stages, int Ranks, int Batch), ReplicaCost> _costs = [];

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

        return runs.Count == 0 ? null : new ReplicaPlan(kinds, ranks, stages, batch, runs.ToImmutable(), memory)
        {
            FleetDevices = fleetDevices,
        };
    }

    /// <summary>What the first D replicas of a plan would give under the load.</summary>
    public Candidate Evaluate(ReplicaPlan plan, int replicas)
    {
        Invariant.Holds(replicas >= 1 && replicas <= plan.ReplicasMax);
        var taken = ImmutableArray.CreateBuilder<ReplicaTemplate>(plan.Runs.Length);
        var left = replicas;
        foreach (var run in plan.Runs)
        {
            var count = Math.Min(left, run.Count);
            if (count == 0) break;
            left -= count;
            taken.Add(new ReplicaTemplate(count, run.Layers, run.Kinds, run.Costs[^1]));
        }

        var throughput = plan.Throughput(replicas, load.OutputTokens);
        var times = options.Batching == Batching.Fixed
            ? OfFixedBatches(plan, taken, replicas, throughput)
            : SharingEstimate.Of(plan, replicas, load);
        var isOverloaded = load.RequestsPerSecond > throughput;
        var (instances, price) = Occupied(plan, taken);
        return new Candidate(
            new LayoutDegrees(replicas, plan.Stages, plan.Ranks, plan.Batch),
            taken.ToImmutable(),
            times.Execution,
            options.CountWait ? times.Queue.Wait : 0,
            throughput,
            instances,
            price,
            plan.MemoryBytes,
            isOverloaded && options.CountWait
                ? 0
                : times.InTarget(options.SloTarget.TotalSeconds, options.CountWait));
    }

    /// <summary>Batches are always run as B, and a replica is one server for as long as its batch runs.</summary>
    private RequestTimes OfFixedBatches(
        ReplicaPlan plan, ImmutableArray<ReplicaTemplate>.Builder taken, int replicas, double throughput)
    {
        // Requests go where they are served first: in proportion to throughput.
        var execution = 0.0;
        for (var i = 0; i < taken.Count; i++)
        {
            var slowdown = plan.Slowdown(plan.Runs[i], taken[i].Cost, replicas);
            var full = taken[i].Cost.Throughput(load.OutputTokens) / slowdown;
            execution += taken[i].Count * full / throughput * taken[i].Cost.Execution(load.OutputTokens) * slowdown;
        }

        return new RequestTimes(
            execution,
            QueueEstimate.Of(load.RequestsPerSecond, throughput, replicas, execution, load.ArrivalVariation));
    }

    private static (int Instances, double PricePerHour) Occupied(
        ReplicaPlan plan, ImmutableArray<ReplicaTemplate>.Builder taken)
    {
        var (instances, price) = (0, 0.0);
        foreach (var fleet in plan.Kinds)
        {
            var count = 0;
            foreach (var template in taken)
            {
                foreach (var kind in template.Kinds) count += kind == fleet.Kind ? template.Count : 0;
            }

            if (count == 0) continue;
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

    /// <summary>Costs at rising batch sizes up to B; only B itself with fixed batches. A replica that may run B
    /// sequences runs fewer while the load is low.</summary>
    private ReplicaCost[] Costs(ReplicaShape shape, int batch)
    {
        var stages = Key(shape);
        IEnumerable<int> sizes = options.Batching == Batching.Fixed
            ? [batch]
            : [.. Enumerable.Range(0, 31).Select(power => 1 << power).TakeWhile(size => size < batch), batch];
        return [.. sizes.Select(size =>
        {
            if (!_costs.TryGetValue((stages, shape.Ranks, size), out var known))
            {
                _costs[(stages, shape.Ranks, size)] = known = cost.Cost(shape, size, load, options.Batching);
            }

            return known;
        })];
    }

    /// <summary>Shapes of one key cost the same. Stages of one kind are told apart by the longest and the last alone:
    /// their sum is the model's.</summary>
    private static StagesKey Key(ReplicaShape shape)
    {
        var (stages, first, last) = (shape.Stages.Length, shape.Stages[0], shape.Stages[^1].Layers);
        foreach (var stage in shape.Stages)
        {
            if (ReferenceEquals(stage.Kind, first.Kind)) continue;
            var text = string.Join(',', shape.Stages.Select(s => $"{s.Layers}{s.Kind.Name}{s.SpansInstances}"));
            return new StagesKey(text, stages, shape.LayersMax, last, first.SpansInstances);
        }

        return new StagesKey(first.Kind.Name, stages, shape.LayersMax, last, first.SpansInstances);
    }

    /// <param name="Kinds">The kind's name; of mixed stages what each of them is.</param>
    private readonly record struct StagesKey(string Kinds, int Count, int Longest, int Last, bool SpansInstances);
}
