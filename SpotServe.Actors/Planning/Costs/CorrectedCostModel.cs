using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>What a running replica measured, to correct a cost model with.</summary>
/// <param name="StepSeconds">Mean time of a decode step at this batch size, or 0 when none ran.</param>
/// <param name="PrefillSeconds">Mean time of one prompt's pass, or 0 when none ran.</param>
/// <param name="BusySeconds">How long the replica was busy while both were measured.</param>
public sealed record MeasuredTimes(
    ReplicaShape Shape,
    int Batch,
    Workload Load,
    Batching Batching,
    double StepSeconds,
    double PrefillSeconds,
    double BusySeconds);

/// <summary>Ratios of measured to predicted times of the replicas with so many ranks whose slowest stage is on this
/// kind, at one batch size.</summary>
public sealed record CostCorrection(int Ranks, string Kind, double Step, double Prefill)
{
    /// <summary>A power of two.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>How long replicas were busy while it was measured, as far as that still counts.</summary>
    public double Seconds { get; init; } = CorrectedCostModel.RememberedSeconds;
}

/// <summary>What measured step times have taught: data, so that it can be stored and sent.</summary>
/// <param name="ByShape">One for each number of ranks, slowest kind and batch size that was measured; kept in their
/// order, however they are given.</param>
/// <param name="Step">For step times of what was not measured yet: the latest ratio; 1 before any.</param>
/// <param name="Prefill">The same for prompts.</param>
public sealed record CostCorrections(ImmutableArray<CostCorrection> ByShape, double Step, double Prefill)
{
    public static CostCorrections None { get; } = new([], 1, 1);

    public ImmutableArray<CostCorrection> ByShape { get; init => field = InOrder(value); } = InOrder(ByShape);

    /// <summary>The ratios that a replica's times are multiplied by: a sequence costs more of some devices than the
    /// model knows, and a step more of others, so they are those of its batch size; between two that were measured they
    /// are in proportion, beyond them those of the nearest.</summary>
    /// <param name="sizes">Of one kind of replica, in order.</param>
    /// <returns>Null when there are none.</returns>
    internal static CostCorrection? Between(ReadOnlySpan<CostCorrection> sizes, int batch)
    {
        CostCorrection? low = null, high = null;
        foreach (var known in sizes)
        {
            if (known.BatchSize <= batch && !(known.BatchSize < low?.BatchSize)) low = known;
            if (known.BatchSize >= batch && !(known.BatchSize > high?.BatchSize)) high = known;
        }

        if (low is null || high is null || low == high) return low ?? high;
        var part = Math.Log2(batch / (double)low.BatchSize) / Math.Log2(high.BatchSize / (double)low.BatchSize);
        return low with
        {
            Step = low.Step * Math.Pow(high.Step / low.Step, part),
            Prefill = low.Prefill * Math.Pow(high.Prefill / low.Prefill, part),
        };
    }

    /// <summary>What was measured of such replicas, by batch size.</summary>
    internal ReadOnlySpan<CostCorrection> Of(int ranks, string kind)
    {
        var first = 0;
        while (first < ByShape.Length && !IsOf(ByShape[first])) first++;
        var end = first;
        while (end < ByShape.Length && IsOf(ByShape[end])) end++;
        return ByShape.AsSpan()[first..end];

        bool IsOf(CostCorrection known) => known.Ranks == ranks && known.Kind == kind;
    }

    /// <summary>Null when no such replica was measured.</summary>
    public CostCorrection? Known(int ranks, string kind, int batchSize)
    {
        foreach (var known in ByShape)
        {
            if (known.Ranks == ranks && known.Kind == kind && known.BatchSize == batchSize) return known;
        }

        return null;
    }

    /// <summary>With one more, which also becomes that of what was not measured.</summary>
    public CostCorrections With(CostCorrection next) => new(
        [
            .. ByShape.Where(known => known.Ranks != next.Ranks || known.Kind != next.Kind
                    || known.BatchSize != next.BatchSize)
                .Append(next),
        ],
        next.Step,
        next.Prefill);

    private static ImmutableArray<CostCorrection> InOrder(ImmutableArray<CostCorrection> sizes) =>
    [
        .. sizes.OrderBy(known => known.Ranks).ThenBy(known => known.Kind, StringComparer.Ordinal)
            .ThenBy(known => known.BatchSize),
    ];

    /// <summary>Whether a ratio is another one by more than this share.</summary>
    public bool DiffersFrom(CostCorrections other, double share)
    {
        return ByShape.Length != other.ByShape.Length
            || ByShape.Any(one => other.Known(one.Ranks, one.Kind, one.BatchSize) is not { } known
                || IsOther(one.Step, known.Step) || IsOther(one.Prefill, known.Prefill));

        bool IsOther(double now, double then) => Math.Abs(now - then) > share * then;
    }

    /// <exception cref="PlanningInputException">A ratio is not a usable number.</exception>
    public void Require()
    {
        foreach (var known in ByShape.Append(new CostCorrection(0, "what was not measured", Step, Prefill)))
        {
            Inputs.AtLeast(known.BatchSize, 1, $"The batch size of a correction of {known.Kind}");
            Inputs.Positive(known.Seconds, $"The measured time of a correction of {known.Kind}");
            Inputs.Positive(known.Step, $"The step times' correction of {known.Kind}");
            Inputs.Positive(known.Prefill, $"The prompt times' correction of {known.Kind}");
        }
    }
}

/// <summary>
/// Another cost model, corrected by the ratio of measured to predicted times: one ratio per number of ranks, slowest
/// kind and batch size, and a general one for what was not measured yet. Immutable: a measurement gives a new model.
/// </summary>
public sealed class CorrectedCostModel(ICostModel inner, CostCorrections corrections) : ICostModel
{
    /// <summary>No measurement moves a prediction further than this factor: beyond it the probe itself is
    /// wrong.</summary>
    public const double RatioMax = 16;

    /// <summary>What was measured counts for so much busy time at most, so that newer times soon outweigh it.</summary>
    public const double RememberedSeconds = 4;

    /// <summary>And what the model expected of a batch size before it was measured, for so much: the first steps of a
    /// layout find code that is not compiled and caches that are cold, and a tenth of a second of them that counted in
    /// full had four ranks expected fifteen times too slow.</summary>
    private const double ExpectedSeconds = 0.5;

    public CorrectedCostModel(ICostModel inner)
        : this(inner, CostCorrections.None)
    {
    }

    public CostCorrections Corrections => corrections;

    public bool Knows(ReplicaShape shape) => inner.Knows(shape);

    public ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching)
    {
        var cost = inner.Cost(shape, batch, load, batching);
        var ratio = Ratio(shape, batch, load, batching);
        return cost with
        {
            Step = cost.Step * ratio.Step,
            Prefill = cost.Prefill * ratio.Prefill,
            Overhead = cost.Overhead * ratio.Prefill,
        };
    }

    private CostCorrection Ratio(ReplicaShape shape, int batch, Workload load, Batching batching)
    {
        var kind = SlowestKind(shape);
        var measured = corrections.Of(shape.Ranks, kind);
        return CostCorrections.Between(InOrder(measured, shape, load, batching), batch)
            ?? new CostCorrection(shape.Ranks, kind, corrections.Step, corrections.Prefill);
    }

    /// <summary>
    /// A step never takes less time for more sequences. Where what was measured says so, the sizes were measured beside
    /// other work: eight sequences at a time when their machine had some, sixteen when it had none. Such sizes count as
    /// one (<see cref="IsotonicRegression"/>), each for as long as it was measured.
    /// </summary>
    private ReadOnlySpan<CostCorrection> InOrder(
        ReadOnlySpan<CostCorrection> measured, ReplicaShape shape, Workload load, Batching batching)
    {
        var isInOrder = true;
        for (var i = 1; i < measured.Length; i++) isInOrder &= measured[i - 1].Step <= measured[i].Step;
        // The inner model's steps never get shorter, so that only a ratio that falls can make them.
        if (isInOrder) return measured;

        var (expected, logs) = (new double[measured.Length], new double[measured.Length]);
        var weights = new double[measured.Length];
        for (var i = 0; i < measured.Length; i++)
        {
            expected[i] = inner.Cost(shape, measured[i].BatchSize, load, batching).Step;
            if (expected[i] <= 0) return measured;   // nothing that a ratio could make longer
            // In logarithms, so that twice too slow and twice too fast weigh the same.
            logs[i] = Math.Log(expected[i] * measured[i].Step);
            weights[i] = measured[i].Seconds;
        }

        IsotonicRegression.Pool(logs, weights);
        var ordered = measured.ToArray();
        for (var i = 0; i < ordered.Length; i++)
            ordered[i] = ordered[i] with { Step = Math.Exp(logs[i]) / expected[i] };
        return ordered;
    }

    /// <summary>This model with one more measurement taken in. A batch size that was not measured yet starts from what
    /// the model expects of it now.</summary>
    public CorrectedCostModel With(MeasuredTimes measured)
    {
        Inputs.NotNegative(measured.StepSeconds, "The measured step time");
        Inputs.NotNegative(measured.PrefillSeconds, "The measured prefill time");
        Inputs.Positive(measured.BusySeconds, "The time that was measured");
        var predicted = inner.Cost(measured.Shape, measured.Batch, measured.Load, measured.Batching);
        var kind = SlowestKind(measured.Shape);
        var size = 1 << (int)Math.Round(Math.Log2(measured.Batch));
        var known = corrections.Known(measured.Shape.Ranks, kind, size);
        var before = known ?? Ratio(measured.Shape, size, measured.Load, measured.Batching) with { BatchSize = size };
        var counted = known?.Seconds ?? ExpectedSeconds;
        var weight = measured.BusySeconds / (measured.BusySeconds + counted);
        return new CorrectedCostModel(inner, corrections.With(before with
        {
            Seconds = Math.Min(counted + measured.BusySeconds, RememberedSeconds),
            Step = Blend(before.Step, measured.StepSeconds, predicted.Step, weight),
            Prefill = Blend(before.Prefill, measured.PrefillSeconds, predicted.Prefill, weight),
        }));
    }

    private static double Blend(double old, double measured, double predicted, double weight)
    {
        if (measured <= 0 || predicted <= 0) return old;
        var ratio = Math.Clamp(measured / predicted, 1 / RatioMax, RatioMax);
        // In logarithms, so that twice too slow and twice too fast weigh the same.
        return Math.Exp(((1 - weight) * Math.Log(old)) + (weight * Math.Log(ratio)));
    }

    private static string SlowestKind(ReplicaShape shape) =>
        shape.Stages.MinBy(stage => stage.Kind.WeightBytesPerSecond).Kind.Name;
}
