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
    double BusySeconds)
{
    /// <summary>Level of what all devices that ran meanwhile asked of the processor
    /// (<see cref="ProcessorDemand"/>). The times are what they would have been without the share that others
    /// took.</summary>
    public int Demand { get; init; }
}

/// <summary>
/// Another cost model, corrected by the ratio of measured to predicted times: one ratio per number of ranks, slowest
/// kind, demand of the processor and batch size, and a general one for what was not measured yet. Immutable: a
/// measurement gives a new model.
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
        var ratios = Measured(shape, load, batching);
        var ratio = ratios?.At(ProcessorDemand.LevelMin, batch) ?? Unmeasured(shape);
        return cost with
        {
            Step = cost.Step * ratio.Step,
            Prefill = cost.Prefill * ratio.Prefill,
            Overhead = cost.Overhead * ratio.Prefill,
            Slowing = ratios is { HasNeighbours: true } ? SlowingOf(ratios, batch, ratio.Step) : null,
        };
    }

    private static NeighbourSlowing SlowingOf(MeasuredRatios ratios, int batch, double alone)
    {
        var levels = new double[ProcessorDemand.LevelMax - ProcessorDemand.LevelMin + 1];
        for (var i = 0; i < levels.Length; i++)
        {
            levels[i] = ratios.At(ProcessorDemand.LevelMin + i, batch).Step / alone;
            // Batch sizes are put in order after levels, which may cost these theirs.
            if (i > 0) levels[i] = Math.Max(levels[i], levels[i - 1]);
        }

        return new NeighbourSlowing(levels);
    }

    /// <summary>Null when no such replica was measured.</summary>
    private MeasuredRatios? Measured(ReplicaShape shape, Workload load, Batching batching) => MeasuredRatios.Of(
        corrections.Of(shape.Ranks, SlowestKind(shape)),
        size => inner.Cost(shape, size, load, batching).Step);

    private CostCorrection Unmeasured(ReplicaShape shape) =>
        new(shape.Ranks, SlowestKind(shape), corrections.Step, corrections.Prefill);

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
        var known = corrections.Known(measured.Shape.Ranks, kind, measured.Demand, size);
        var before = known ?? Expected(measured, size);
        var counted = known?.Seconds ?? ExpectedSeconds;
        var weight = measured.BusySeconds / (measured.BusySeconds + counted);
        return new CorrectedCostModel(inner, corrections.With(before with
        {
            Seconds = Math.Min(counted + measured.BusySeconds, RememberedSeconds),
            Step = Blend(before.Step, measured.StepSeconds, predicted.Step, weight),
            Prefill = Blend(before.Prefill, measured.PrefillSeconds, predicted.Prefill, weight),
        }));
    }

    private CostCorrection Expected(MeasuredTimes measured, int size) =>
        (Measured(measured.Shape, measured.Load, measured.Batching)?.At(measured.Demand, size)
            ?? Unmeasured(measured.Shape)) with
        {
            Demand = measured.Demand,
            BatchSize = size,
        };

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
