using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>What a running replica measured, to correct a cost model with.</summary>
/// <param name="StepSeconds">Mean time of a decode step at this batch size, or 0 when none ran.</param>
/// <param name="PrefillSeconds">Mean time of one prompt's pass, or 0 when none ran.</param>
public sealed record MeasuredTimes(
    ReplicaShape Shape, int Batch, Workload Load, Batching Batching, double StepSeconds, double PrefillSeconds);

/// <summary>Ratios of measured to predicted times of the replicas with so many ranks whose slowest stage is on this
/// kind.</summary>
public sealed record CostCorrection(int Ranks, string Kind, double Step, double Prefill);

/// <summary>What measured step times have taught: data, so that it can be stored and sent.</summary>
/// <param name="ByShape">One for each number of ranks and slowest kind that was measured, in their order.</param>
/// <param name="Step">For step times of what was not measured yet: the latest ratio; 1 before any.</param>
/// <param name="Prefill">The same for prompts.</param>
public sealed record CostCorrections(ImmutableArray<CostCorrection> ByShape, double Step, double Prefill)
{
    public static CostCorrections None { get; } = new([], 1, 1);

    /// <summary>The ratios that a replica's times are multiplied by.</summary>
    public CostCorrection For(int ranks, string kind) =>
        Known(ranks, kind) ?? new CostCorrection(ranks, kind, Step, Prefill);

    /// <summary>Null when no such replica was measured.</summary>
    public CostCorrection? Known(int ranks, string kind)
    {
        foreach (var known in ByShape)
        {
            if (known.Ranks == ranks && known.Kind == kind) return known;
        }

        return null;
    }

    /// <summary>With one more, which also becomes that of what was not measured.</summary>
    public CostCorrections With(CostCorrection next) => new(
        [
            .. ByShape.Where(known => known.Ranks != next.Ranks || known.Kind != next.Kind).Append(next)
                .OrderBy(known => known.Ranks).ThenBy(known => known.Kind, StringComparer.Ordinal),
        ],
        next.Step,
        next.Prefill);

    /// <summary>Whether a ratio is another one by more than this share.</summary>
    public bool DiffersFrom(CostCorrections other, double share)
    {
        return ByShape.Length != other.ByShape.Length
            || ByShape.Any(one => other.Known(one.Ranks, one.Kind) is not { } known
                || IsOther(one.Step, known.Step) || IsOther(one.Prefill, known.Prefill));

        bool IsOther(double now, double then) => Math.Abs(now - then) > share * then;
    }

    /// <exception cref="PlanningInputException">A ratio is not a usable number.</exception>
    public void Require()
    {
        foreach (var known in ByShape.Append(new CostCorrection(0, "what was not measured", Step, Prefill)))
        {
            Inputs.Positive(known.Step, $"The step times' correction of {known.Kind}");
            Inputs.Positive(known.Prefill, $"The prompt times' correction of {known.Kind}");
        }
    }
}

/// <summary>
/// Another cost model, corrected by the ratio of measured to predicted times: one ratio per number of ranks and slowest
/// kind, and a general one for what was not measured yet. Immutable: a measurement gives a new model.
/// </summary>
public sealed class CorrectedCostModel(ICostModel inner, CostCorrections corrections) : ICostModel
{
    /// <summary>No measurement moves a prediction further than this factor: beyond it the probe itself is
    /// wrong.</summary>
    public const double RatioMax = 16;

    public CorrectedCostModel(ICostModel inner)
        : this(inner, CostCorrections.None)
    {
    }

    public CostCorrections Corrections => corrections;

    /// <summary>Share of a new measurement in the ratio; the rest is what was measured before.</summary>
    public double Weight { get; init; } = 0.25;

    public bool Knows(ReplicaShape shape) => inner.Knows(shape);

    public ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching)
    {
        var cost = inner.Cost(shape, batch, load, batching);
        var ratio = corrections.For(shape.Ranks, SlowestKind(shape));
        return cost with
        {
            Step = cost.Step * ratio.Step,
            Prefill = cost.Prefill * ratio.Prefill,
            Overhead = cost.Overhead * ratio.Prefill,
        };
    }

    /// <summary>This model with one more measurement taken in; the first one for a shape counts in full.</summary>
    public CorrectedCostModel With(MeasuredTimes measured)
    {
        Inputs.NotNegative(measured.StepSeconds, "The measured step time");
        Inputs.NotNegative(measured.PrefillSeconds, "The measured prefill time");
        var predicted = inner.Cost(measured.Shape, measured.Batch, measured.Load, measured.Batching);
        var kind = SlowestKind(measured.Shape);
        var isKnown = corrections.Known(measured.Shape.Ranks, kind) is not null;
        var before = corrections.For(measured.Shape.Ranks, kind);
        return new CorrectedCostModel(inner, corrections.With(before with
        {
            Step = Blend(before.Step, measured.StepSeconds, predicted.Step, isKnown),
            Prefill = Blend(before.Prefill, measured.PrefillSeconds, predicted.Prefill, isKnown),
        }))
        {
            Weight = Weight,
        };
    }

    private double Blend(double old, double measured, double predicted, bool known)
    {
        if (measured <= 0 || predicted <= 0) return old;
        var ratio = Math.Clamp(measured / predicted, 1 / RatioMax, RatioMax);
        // In logarithms, so that twice too slow and twice too fast weigh the same.
        return known ? Math.Exp(((1 - Weight) * Math.Log(old)) + (Weight * Math.Log(ratio))) : ratio;
    }

    private static string SlowestKind(ReplicaShape shape) =>
        shape.Stages.MinBy(stage => stage.Kind.WeightBytesPerSecond).Kind.Name;
}
