using System.Collections.Immutable;

namespace SpotServe.Actors.Metrics;

/// <summary>All metrics of the cluster, as one control node knows them.</summary>
public interface IClusterMetrics
{
    /// <summary>What stands now: gauges of those processes that were heard within seconds, counters and histograms of
    /// all that ever were. Never waits for anybody.</summary>
    MetricsSnapshot Read();

    /// <summary>One counter or histogram of all processes; null when nobody has reported it. Never waits, and costs
    /// what its series do, however many gauges there are.</summary>
    /// <param name="name">As it is exposed.</param>
    MetricFamily? Total(string name);
}

/// <summary>Metrics at one moment. Two of them give what happened in between: <see cref="Since"/>.</summary>
public sealed record MetricsSnapshot(DateTimeOffset At, ImmutableArray<MetricFamily> Families)
{
    /// <summary>Null when nobody has reported the metric.</summary>
    /// <param name="name">As it is exposed.</param>
    public MetricFamily? Find(string name) => Families.FirstOrDefault(family => family.Metric.Name == name);

    /// <summary>Sum of a metric's series; of a histogram's it is the sum of what was recorded. 0 when there are
    /// none.</summary>
    public double Sum(string name) => Find(name)?.Series.Sum(series => series.Value) ?? 0;

    /// <summary>Values that a histogram has recorded; 0 when there are none.</summary>
    public long Count(string name) => Find(name)?.Series.Sum(series => series.Count) ?? 0;

    /// <summary>The value below which a share of what a histogram recorded lies, by straight lines within
    /// buckets, as PromQL's histogram_quantile has it. Null when nothing was recorded.</summary>
    /// <param name="quantile">0 to 1.</param>
    public double? Quantile(string name, double quantile)
    {
        Bounds.Between(quantile, 0, 1);
        if (Find(name) is not { Metric: { Kind: MetricKind.Histogram, Bounds: var bounds } } family) return null;
        var counts = new long[bounds.Length + 1];
        foreach (var series in family.Series)
        {
            for (var i = 0; i < counts.Length; i++) counts[i] += series.Buckets[i];
        }

        var total = counts.Sum();
        if (total == 0) return null;
        var rank = quantile * total;
        var below = 0L;
        for (var i = 0; i < bounds.Length; i++)
        {
            if (below + counts[i] >= rank && counts[i] > 0)
            {
                var from = i == 0 ? 0 : bounds[i - 1];
                return from + ((bounds[i] - from) * Math.Max(0, rank - below) / counts[i]);
            }

            below += counts[i];
        }

        return bounds[^1];
    }

    /// <summary>Gauges as they are here, and of counters and histograms what was added after
    /// <paramref name="earlier"/>, a snapshot of the same control node.</summary>
    public MetricsSnapshot Since(MetricsSnapshot earlier)
    {
        var before = earlier.Families.ToDictionary(family => family.Metric.Name);
        return this with { Families = [.. Families.Select(family => Difference(family))] };

        MetricFamily Difference(MetricFamily family)
        {
            if (family.Metric.Kind == MetricKind.Gauge || !before.TryGetValue(family.Metric.Name, out var known))
                return family;
            var old = known.Series.ToDictionary(series => series.Labels);
            return family with
            {
                Series = [.. family.Series.Select(series =>
                    old.TryGetValue(series.Labels, out var was) ? SeriesMath.Added(was, series) : series)],
            };
        }
    }
}
