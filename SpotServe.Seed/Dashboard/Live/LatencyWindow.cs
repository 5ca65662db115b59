using SpotServe.Actors.Metrics;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>
/// Percentiles of what the whole cluster has recorded lately with one histogram: what came to it within the window.
/// They are as exact as the histogram's buckets are narrow. Not thread-safe.
/// </summary>
/// <param name="metric">As it is exposed.</param>
internal sealed class LatencyWindow(string metric)
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(15);

    private readonly Queue<MetricsSnapshot> _seen = new();

    /// <summary>Looks at the histogram; called once a second, which also bounds what is kept.</summary>
    /// <returns>Null when nothing was recorded in the window.</returns>
    public Percentiles? Look(DateTimeOffset now, IClusterMetrics metrics)
    {
        if (metrics.Total(metric) is not { } family) return null;
        var latest = new MetricsSnapshot(now, [family]);
        _seen.Enqueue(latest);
        while (now - _seen.Peek().At > Window) _seen.Dequeue();
        var added = latest.Since(_seen.Peek());
        return added.Quantile(metric, 0.5) is { } median
            ? new Percentiles(median, added.Quantile(metric, 0.95)!.Value, added.Quantile(metric, 0.99)!.Value)
            : null;
    }
}
