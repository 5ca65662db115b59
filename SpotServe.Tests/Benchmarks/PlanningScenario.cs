using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Benchmarks;

/// <summary>Fleets of machines with eight GPUs that serve a 70B model and get a notice.</summary>
internal static class PlanningScenario
{
    public const int DevicesEach = 8;

    public static readonly SliceGeometry Llama70B = new(new TransformerShape(
        "LLaMA-70B", 80, 8192, 64, 8, 28_672, 128_256, 8192, ElementType.BFloat16).ToModelSpec());

    public static readonly DeviceKind Gpu = new("H100", 80L << 30, 2.7e12, 6e14, 12e-6, 2.5);

    private static readonly LinkRates Links = new(200e9, 25e9, 2e9, 1e9, 20e-6);

    /// <summary>One machine leaves within half a minute.</summary>
    /// <param name="reshape">False: the shape stays and one machine's replicas are dropped. True: the fleet serves as
    /// (P, M) = (4, 4) and every device gets another slice, as (2, 8).</param>
    public static PlanningInputs Notice(int gpus, bool reshape)
    {
        var fleet = Enumerable.Range(0, gpus / DevicesEach)
            .Select(i => new Instance($"n{i:0000}", Gpu, DevicesEach)).ToImmutableArray();
        var degrees = reshape ? new LayoutDegrees(gpus / 16, 4, 4, 16) : new LayoutDegrees(gpus / 16, 2, 8, 16);
        var current = new Layout(
            degrees,
            Layout.EvenStages(80, degrees.Replicas, degrees.Stages),
            [.. fleet.SelectMany(instance => instance.Devices)]);
        var leaving = fleet[fleet.Length / 2].Node;
        return new PlanningInputs(
            Llama70B.Model,
            [.. fleet.Where(instance => instance.Node != leaving)],
            new Workload(gpus / 16.0, 1024, 256),
            Links)
        {
            Search = new SearchOptions
            {
                Objective = Objective.Throughput,
                RankCounts = [8],
                StagesMax = 2,
                StagesDivide = 2,
                ReplicaDevicesMin = 16,
                BatchSizes = [1, 2, 4, 8, 16],
            },
            Margin = 0.01,
            Serving = new ServingLayout(
                current, LayoutAssembly.PagesPerReplica(Llama70B.Model, current, _ => Gpu.MemoryBytes, 256L << 20)),
            Holdings = Holding.All(Llama70B, current),
            Caches = [.. Enumerable.Range(0, degrees.Replicas).Select(d => new ReplicaCache(
                d, [.. Enumerable.Range(0, 8)
                    .Select(r => new CachedRequest(new RequestId($"r{d}-{r}"), 600 + (d % 97) + r, 88))]))],
            Leaving = ImmutableDictionary<string, TimeSpan>.Empty.Add(leaving, TimeSpan.FromSeconds(30)),
        };
    }

    /// <summary>The same, and the search is free in all of its degrees.</summary>
    public static PlanningInputs FreeSearch(int gpus) => Notice(gpus, reshape: false) with
    {
        Search = new SearchOptions { Objective = Objective.Latency },
    };

    public static long[] RandomMatrix(int size, long weightMax, int seed)
    {
        var random = new Random(seed);
        var weights = new long[size * size];
        for (var i = 0; i < weights.Length; i++) weights[i] = random.NextInt64(weightMax);
        return weights;
    }
}
