using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>What the layout is chosen for.</summary>
public enum Objective
{
    /// <summary>The paper's Algorithm 1: enough throughput first, then the least latency.</summary>
    Latency,

    /// <summary>The most requests per second.</summary>
    Throughput,

    /// <summary>The least cost that meets P(latency &lt;= target).</summary>
    Slo,
}

/// <summary>The bounds and rules of a layout search.</summary>
public sealed record SearchOptions
{
    /// <summary>Largest B that is tried.</summary>
    public const int BatchSizeMax = 1 << 16;

    /// <summary>See <see cref="Headroom"/>.</summary>
    public const double HeadroomUsual = 0.25;

    public Objective Objective { get; init; } = Objective.Latency;

    public Batching Batching { get; init; } = Batching.Continuous;

    /// <summary>M to try; those that do not divide the heads are passed over unless <see
    /// cref="RequireRanks"/>.</summary>
    public ImmutableArray<int> RankCounts { get; init; } = [1, 2, 4, 8, 16];

    /// <summary>Whether an M that does not divide the heads is an error instead of passed over: true when a user named
    /// it.</summary>
    public bool RequireRanks { get; init; }

    /// <summary>B to try.</summary>
    public ImmutableArray<int> BatchSizes { get; init; } = [1, 2, 4, 8, 16, 32];

    /// <summary>P must divide this; 0 lets P be any number of stages up to <see cref="StagesMax"/>.</summary>
    public int StagesDivide { get; init; }

    /// <summary>Longest pipeline to try.</summary>
    public int StagesMax { get; init; } = 64;

    /// <summary>Fewest devices of a replica (P x M): the paper's minimum per model, in place of a memory
    /// check.</summary>
    public int ReplicaDevicesMin { get; init; } = 1;

    /// <summary>Whether weights, KV of B sequences and the buffer must fit into each device's memory.</summary>
    public bool CheckMemory { get; init; } = true;

    /// <summary>Bytes per device kept free for slices that arrive before others leave (the paper's U_max).</summary>
    public long MigrationBufferBytes { get; init; } = 256L << 20;

    /// <summary>Whether l_sch counts; the paper's evaluation compares l_exe alone.</summary>
    public bool CountWait { get; init; } = true;

    /// <summary>Whether every replica that fits is made (the paper's evaluation), or only those that pay.</summary>
    public bool FillFleet { get; init; }

    /// <summary>Latencies within this fraction of the best are alike: the cheapest of them is taken.</summary>
    public double LatencyTieFraction { get; init; } = 0.02;

    /// <summary>What a layout can do beyond the load, as a share of it, before it counts as serving it. Rates and times
    /// are known to some 15 %, and a layout that was expected to be 90 % busy may never catch up: this keeps it below
    /// 80 % (docs/adr/0093).</summary>
    public double Headroom { get; init; } = HeadroomUsual;

    /// <summary>Target of <see cref="Objective.Slo"/>.</summary>
    public TimeSpan SloTarget { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Share of requests that must meet the target.</summary>
    public double SloProbability { get; init; } = 0.99;

    /// <summary>Alternatives that a result lists at most.</summary>
    public int AlternativesMax { get; init; } = 24;

    /// <summary>The rules of the paper's evaluation for one model.</summary>
    /// <param name="replicaDevicesMin">Its table's minimum number of GPUs.</param>
    public static SearchOptions Paper(ProfileTable table, int replicaDevicesMin) => new()
    {
        Batching = Batching.Fixed,
        RankCounts = [.. table.Ranks.Keys.Where(m => m <= table.RanksMax)],
        BatchSizes = [1, 2, 4],
        StagesDivide = table.PaddedLayerCount,
        ReplicaDevicesMin = replicaDevicesMin,
        CheckMemory = false,
        CountWait = false,
        FillFleet = true,
        LatencyTieFraction = 0,
        Headroom = 0,
    };

    /// <summary>Requests per second that a layout must be able to serve.</summary>
    public double RateToServe(Workload load) => load.RequestsPerSecond * (1 + Headroom);

    /// <exception cref="PlanningInputException">A bound is not usable.</exception>
    public void Require()
    {
        foreach (var ranks in RankCounts) Inputs.Between(ranks, 1, Instance.DevicesMax, "A rank count to try");
        foreach (var batch in BatchSizes) Inputs.Between(batch, 1, BatchSizeMax, "A batch size to try");
        if (RankCounts.IsEmpty) throw new PlanningInputException("The rank counts to try", "empty", "at least one");
        if (BatchSizes.IsEmpty) throw new PlanningInputException("The batch sizes to try", "empty", "at least one");
        Inputs.AtLeast(StagesMax, 1, "The longest pipeline");
        Inputs.AtLeast(ReplicaDevicesMin, 1, "The fewest devices of a replica");
        Inputs.AtLeast(MigrationBufferBytes, 0, "The migration buffer");
        Inputs.NotNegative(LatencyTieFraction, "The fraction of latency ties");
        Inputs.NotNegative(Headroom, "The headroom");
        Inputs.Positive(SloTarget.TotalSeconds, "The latency target in seconds");
        if (!(SloProbability is > 0 and < 1))
        {
            throw new PlanningInputException(
                "The share that meets the latency target", SloProbability, "between 0 and 1");
        }
    }
}
