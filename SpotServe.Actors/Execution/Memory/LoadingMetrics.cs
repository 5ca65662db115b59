using System.Diagnostics.Metrics;
using SpotServe.Actors.Metrics;

namespace SpotServe.Actors.Execution;

/// <summary>Devices that get the weights of a position.</summary>
internal static class LoadingMetrics
{
    private static readonly Meter Meter = new("SpotServe.Loading");

    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>(
        "spotserve.weight_bytes_total", "By",
        "Bytes of weights that positions needed, by source: memory (they were there), peer, or folder.");

    public static Histogram<double> Seconds { get; } = Meter.CreateHistogram(
        "spotserve.load_seconds", "s", "Time until a device had the weights and pages of a position.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = MetricBuckets.Seconds });

    public static void Count(long bytes, long reused, long fetched)
    {
        Add("memory", reused);
        Add("peer", fetched);
        Add("folder", bytes - reused - fetched);
    }

    private static void Add(string source, long bytes)
    {
        if (bytes > 0) Bytes.Add(bytes, new KeyValuePair<string, object?>("source", source));
    }
}
