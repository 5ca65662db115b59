using System.Diagnostics.Metrics;

namespace SpotServe.Actors.Metrics;

/// <summary>How instruments are exposed. It has no state: instruments are described while the classes that hold them
/// come into being.</summary>
internal static class MetricNaming
{
    /// <summary>What an instrument is exposed as. OpenTelemetry allows no colon in a name, and Prometheus no dot: the
    /// first dot of a name is a colon for the names that other servers have too ("vllm."), and an underscore
    /// else.</summary>
    public static MetricDescription Describe(Instrument instrument) => new(
        ExposedName(instrument.Name),
        KindOf(instrument),
        instrument.Unit ?? "",
        instrument.Description ?? "",
        instrument is Histogram<double> histogram
            ? [.. histogram.Advice?.HistogramBucketBoundaries ?? MetricBuckets.Seconds]
            : []);

    private static string ExposedName(string name) => name.StartsWith("vllm.", StringComparison.Ordinal)
        ? $"vllm:{name["vllm.".Length..]}"
        : name.Replace('.', '_');

    private static MetricKind KindOf(Instrument instrument) => instrument switch
    {
        Counter<long> or Counter<double> => MetricKind.Counter,
        Histogram<double> => MetricKind.Histogram,
        ObservableGauge<long> or ObservableGauge<double> => MetricKind.Gauge,
        _ => throw new InvariantException(
            $"instrument {instrument.Name} is a {instrument.GetType().Name}, which nobody collects"),
    };
}
