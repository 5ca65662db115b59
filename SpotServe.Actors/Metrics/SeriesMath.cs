using System.Collections.Immutable;

namespace SpotServe.Actors.Metrics;

/// <summary>Counters and histograms, added and subtracted. Nothing here makes one smaller than zero.</summary>
internal static class SeriesMath
{
    /// <summary>What came to a series since it was <paramref name="before"/>.</summary>
    public static MetricSeries Added(MetricSeries before, MetricSeries now) => now with
    {
        Value = Math.Max(0, now.Value - before.Value),
        Buckets = Each(now.Buckets, before.Buckets, (later, earlier) => Math.Max(0, later - earlier)),
    };

    public static MetricSeries Sum(MetricSeries one, MetricSeries other) => one with
    {
        Value = one.Value + other.Value,
        Buckets = Each(one.Buckets, other.Buckets, (a, b) => a + b),
    };

    private static ImmutableArray<long> Each(
        ImmutableArray<long> one, ImmutableArray<long> other, Func<long, long, long> combine)
    {
        Invariant.Holds(one.Length == other.Length, "series of one metric have the same buckets");
        if (one.IsEmpty) return one;
        var result = new long[one.Length];
        for (var i = 0; i < result.Length; i++) result[i] = combine(one[i], other[i]);
        return [.. result];
    }
}
