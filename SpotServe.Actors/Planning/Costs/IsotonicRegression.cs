namespace SpotServe.Actors.Planning;

/// <summary>
/// The nearest sequence that never falls, by weighted least squares: neighbours that fall are pooled into their mean,
/// until none do (Barlow et al., Statistical Inference under Order Restrictions, 1972: pool adjacent violators).
/// </summary>
internal static class IsotonicRegression
{
    /// <summary>Replaces the values in place. Linear in their number.</summary>
    /// <param name="weights">As many as values, each above 0.</param>
    public static void Pool(Span<double> values, ReadOnlySpan<double> weights)
    {
        Invariant.Holds(values.Length == weights.Length);
        var pools = new List<(double Mean, double Weight, int Count)>(values.Length);
        for (var i = 0; i < values.Length; i++)
        {
            var last = (Mean: values[i], Weight: weights[i], Count: 1);
            while (pools.Count > 0 && pools[^1].Mean > last.Mean)
            {
                var (mean, weight, count) = pools[^1];
                pools.RemoveAt(pools.Count - 1);
                var both = weight + last.Weight;
                last = (((mean * weight) + (last.Mean * last.Weight)) / both, both, count + last.Count);
            }

            pools.Add(last);
        }

        var at = 0;
        foreach (var (mean, _, count) in pools)
        {
            values.Slice(at, count).Fill(mean);
            at += count;
        }
    }
}
