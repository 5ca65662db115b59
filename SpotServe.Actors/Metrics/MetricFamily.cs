using System.Collections.Immutable;

namespace SpotServe.Actors.Metrics;

/// <summary>What a metric's values mean to whoever adds them up.</summary>
public enum MetricKind
{
    /// <summary>Only ever grows.</summary>
    Counter,

    /// <summary>How something stands now.</summary>
    Gauge,

    /// <summary>Counts of values by their size, and their sum.</summary>
    Histogram,
}

/// <summary>A metric as readers of <c>/metrics</c> know it.</summary>
/// <param name="Name">As it is exposed, e.g. "vllm:time_to_first_token_seconds".</param>
/// <param name="Unit">"s", "By", or what is counted, in braces: "{token}".</param>
/// <param name="Help">One sentence.</param>
/// <param name="Bounds">Of a histogram: upper ends of all buckets but the last, ascending. Else empty.</param>
public sealed record MetricDescription(
    string Name, MetricKind Kind, string Unit, string Help, ImmutableArray<double> Bounds);

/// <summary>One metric with one set of labels.</summary>
/// <param name="Labels">As Prometheus writes them, in the order of their names: <c>kind="pages",source="peer"</c>;
/// empty when it has none.</param>
/// <param name="Value">The counter's or gauge's value; of a histogram the sum of all that was recorded.</param>
/// <param name="Buckets">Of a histogram: how many values fell into each bucket (not cumulated), one more than it has
/// bounds. Else empty.</param>
public sealed record MetricSeries(string Labels, double Value, ImmutableArray<long> Buckets)
{
    /// <summary>Of a histogram: how many values were recorded.</summary>
    public long Count => Buckets.Sum();
}

/// <summary>A metric with all its series.</summary>
public sealed record MetricFamily(MetricDescription Metric, ImmutableArray<MetricSeries> Series);
