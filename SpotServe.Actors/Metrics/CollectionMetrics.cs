using System.Diagnostics.Metrics;

namespace SpotServe.Actors.Metrics;

/// <summary>What goes wrong with the metrics themselves: nothing else would show it.</summary>
internal static class CollectionMetrics
{
    private static readonly Meter Meter = new("SpotServe.Collection");

    public static Counter<long> Dropped { get; } = Meter.CreateCounter<long>(
        "spotserve.metrics_dropped_total", "{report}",
        "Reports and readings of metrics that were dropped: too large, malformed, or their reading failed.");
}
