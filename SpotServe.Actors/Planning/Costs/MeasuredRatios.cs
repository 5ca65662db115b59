namespace SpotServe.Actors.Planning;

/// <summary>What was measured of the replicas with so many ranks on one kind of device, completed: a ratio for every
/// batch size beside every level of <see cref="ProcessorDemand"/>.</summary>
internal sealed class MeasuredRatios
{
    /// <summary>What was completed counts for so many seconds of measuring.</summary>
    private const double CompletedSeconds = 0.1;

    /// <summary>Levels beside which something was measured, rising.</summary>
    private readonly int[] _levels;

    /// <summary>One row a level, by batch size.</summary>
    private readonly CostCorrection[][] _rows;

    private MeasuredRatios(int[] levels, CostCorrection[][] rows) => (_levels, _rows) = (levels, rows);

    /// <summary>Whether neighbours were seen to slow a replica down, or not to.</summary>
    public bool HasNeighbours => _levels.Length > 1;

    /// <param name="measured">By level and batch size, one of each.</param>
    /// <param name="expectedStep">Of a batch size, uncorrected.</param>
    /// <returns>Null when nothing was measured.</returns>
    public static MeasuredRatios? Of(ReadOnlySpan<CostCorrection> measured, Func<int, double> expectedStep)
    {
        if (measured.IsEmpty) return null;
        int[] levels = [.. measured.ToArray().Select(one => one.Demand).Distinct()];
        if (levels.Length == 1) return new MeasuredRatios(levels, [InOrder(measured.ToArray(), expectedStep)]);
        var rows = Completed(measured, levels);
        for (var s = 0; s < rows[0].Length; s++) OrderLevels(rows, s);
        return new MeasuredRatios(levels, [.. rows.Select(row => InOrder(row, expectedStep))]);
    }

    /// <summary>Between two levels, and two batch sizes, that were measured in proportion, beyond them those of the
    /// nearest.</summary>
    public CostCorrection At(int level, int batch)
    {
        var high = Array.FindIndex(_levels, known => known >= level);
        if (high <= 0) return Between(_rows[high < 0 ? ^1 : 0], batch);
        var (below, above) = (Between(_rows[high - 1], batch), Between(_rows[high], batch));
        return Mix(below, above, (level - _levels[high - 1]) / (double)(_levels[high] - _levels[high - 1]));
    }

    private static CostCorrection Between(CostCorrection[] sizes, int batch)
    {
        var high = Array.FindIndex(sizes, known => known.BatchSize >= batch);
        if (high <= 0 || sizes[high].BatchSize == batch) return sizes[high < 0 ? ^1 : high];
        var (below, above) = (sizes[high - 1], sizes[high]);
        return Mix(below, above, Math.Log2(batch / (double)below.BatchSize)
            / Math.Log2(above.BatchSize / (double)below.BatchSize));
    }

    /// <param name="part">0 is below, 1 above.</param>
    private static CostCorrection Mix(CostCorrection below, CostCorrection above, double part) => below with
    {
        Step = below.Step * Math.Pow(above.Step / below.Step, part),
        Prefill = below.Prefill * Math.Pow(above.Prefill / below.Prefill, part),
    };

    /// <summary>A batch size that was measured beside some neighbours only is expected to be slowed by others as the
    /// sizes that were measured beside both.</summary>
    private static CostCorrection[][] Completed(ReadOnlySpan<CostCorrection> measured, int[] levels)
    {
        int[] sizes = [.. measured.ToArray().Select(one => one.BatchSize).Distinct().Order()];
        var steps = new double[sizes.Length, levels.Length];
        var (prefills, weights) = (new double[sizes.Length, levels.Length], new double[sizes.Length, levels.Length]);
        foreach (var one in measured)
        {
            var (s, l) = (Array.IndexOf(sizes, one.BatchSize), Array.IndexOf(levels, one.Demand));
            // In logarithms, so that twice too slow and twice too fast weigh the same.
            (steps[s, l], prefills[s, l]) = (Math.Log(one.Step), Math.Log(one.Prefill));
            weights[s, l] = one.Seconds;
        }

        TwoWayFit.Complete(steps, weights);
        TwoWayFit.Complete(prefills, weights);
        var (ranks, kind) = (measured[0].Ranks, measured[0].Kind);
        return
        [
            .. levels.Select((level, l) => sizes.Select((size, s) =>
                new CostCorrection(ranks, kind, Math.Exp(steps[s, l]), Math.Exp(prefills[s, l]))
                {
                    BatchSize = size,
                    Demand = level,
                    Seconds = Math.Max(CompletedSeconds, weights[s, l]),
                }).ToArray()),
        ];
    }

    /// <summary>Neighbours take their share of the processor, which is what ratios are relative to, or more. Where
    /// measured levels say less, they were measured beside other work, and count as one.</summary>
    private static void OrderLevels(CostCorrection[][] rows, int size)
    {
        var logs = Array.ConvertAll(rows, row => Math.Log(row[size].Step));
        IsotonicRegression.Pool(logs, Array.ConvertAll(rows, row => row[size].Seconds));
        for (var l = 0; l < rows.Length; l++) rows[l][size] = rows[l][size] with { Step = Math.Exp(logs[l]) };
    }

    /// <summary>
    /// A step never takes less time for more sequences. Where what was measured says so, the sizes were measured beside
    /// other work: eight sequences at a time when their machine had some, sixteen when it had none. Such sizes count as
    /// one (<see cref="IsotonicRegression"/>), each for as long as it was measured.
    /// </summary>
    private static CostCorrection[] InOrder(CostCorrection[] sizes, Func<int, double> expectedStep)
    {
        var isInOrder = true;
        for (var i = 1; i < sizes.Length; i++) isInOrder &= sizes[i - 1].Step <= sizes[i].Step;
        // The inner model's steps never get shorter, so that only a ratio that falls can make them.
        if (isInOrder) return sizes;
        var expected = Array.ConvertAll(sizes, one => expectedStep(one.BatchSize));
        if (expected.Any(step => step <= 0)) return sizes;   // nothing that a ratio could make longer
        double[] logs = [.. sizes.Select((one, i) => Math.Log(expected[i] * one.Step))];
        IsotonicRegression.Pool(logs, Array.ConvertAll(sizes, one => one.Seconds));
        return [.. sizes.Select((one, i) => one with { Step = Math.Exp(logs[i]) / expected[i] })];
    }
}
