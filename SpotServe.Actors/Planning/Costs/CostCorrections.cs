using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Ratios of measured to predicted times of the replicas with so many ranks whose slowest stage is on this
/// kind, at one batch size and beside some neighbours.</summary>
public sealed record CostCorrection(int Ranks, string Kind, double Step, double Prefill)
{
    /// <summary>A power of two.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>Level of what the devices that ran asked of their machine's processor
    /// (<see cref="ProcessorDemand"/>); the ratio is to what was predicted and slowed down by its share.</summary>
    public int Demand { get; init; }

    /// <summary>How long replicas were busy while it was measured, as far as that still counts.</summary>
    public double Seconds { get; init; } = CorrectedCostModel.RememberedSeconds;
}

/// <summary>What measured step times have taught: data, so that it can be stored and sent.</summary>
/// <param name="ByShape">One for each number of ranks, slowest kind, demand and batch size that was measured; kept in
/// their order, however they are given.</param>
/// <param name="Step">For step times of what was not measured yet: the latest ratio; 1 before any.</param>
/// <param name="Prefill">The same for prompts.</param>
public sealed record CostCorrections(ImmutableArray<CostCorrection> ByShape, double Step, double Prefill)
{
    public static CostCorrections None { get; } = new([], 1, 1);

    public ImmutableArray<CostCorrection> ByShape { get; init => field = InOrder(value); } = InOrder(ByShape);

    /// <summary>What was measured of such replicas, by demand and batch size.</summary>
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
    public CostCorrection? Known(int ranks, string kind, int demand, int batchSize)
    {
        foreach (var known in ByShape)
        {
            if (known.Ranks == ranks && known.Kind == kind && known.Demand == demand && known.BatchSize == batchSize)
                return known;
        }

        return null;
    }

    /// <summary>With one more, which also becomes that of what was not measured.</summary>
    public CostCorrections With(CostCorrection next) => new(
        [
            .. ByShape.Where(known => known.Ranks != next.Ranks || known.Kind != next.Kind
                    || known.Demand != next.Demand || known.BatchSize != next.BatchSize)
                .Append(next),
        ],
        next.Step,
        next.Prefill);

    private static ImmutableArray<CostCorrection> InOrder(ImmutableArray<CostCorrection> sizes) =>
    [
        .. sizes.OrderBy(known => known.Ranks).ThenBy(known => known.Kind, StringComparer.Ordinal)
            .ThenBy(known => known.Demand).ThenBy(known => known.BatchSize),
    ];

    /// <summary>Whether a ratio is another one by more than this share.</summary>
    public bool DiffersFrom(CostCorrections other, double share)
    {
        return ByShape.Length != other.ByShape.Length
            || ByShape.Any(one => other.Known(one.Ranks, one.Kind, one.Demand, one.BatchSize) is not { } known
                || IsOther(one.Step, known.Step) || IsOther(one.Prefill, known.Prefill));

        bool IsOther(double now, double then) => Math.Abs(now - then) > share * then;
    }

    /// <exception cref="PlanningInputException">A ratio is not a usable number.</exception>
    public void Require()
    {
        foreach (var known in ByShape.Append(new CostCorrection(0, "what was not measured", Step, Prefill)))
        {
            if (known.Demand is < ProcessorDemand.LevelMin or > ProcessorDemand.LevelMax)
            {
                throw new PlanningInputException(
                    $"The processor demand of a correction of {known.Kind}",
                    known.Demand,
                    $"{ProcessorDemand.LevelMin} to {ProcessorDemand.LevelMax}");
            }

            Inputs.AtLeast(known.BatchSize, 1, $"The batch size of a correction of {known.Kind}");
            Inputs.Positive(known.Seconds, $"The measured time of a correction of {known.Kind}");
            Inputs.Positive(known.Step, $"The step times' correction of {known.Kind}");
            Inputs.Positive(known.Prefill, $"The prompt times' correction of {known.Kind}");
        }
    }
}
