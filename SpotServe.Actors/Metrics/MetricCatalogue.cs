using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Gateway;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Replica;
using SpotServe.Actors.Requests;

namespace SpotServe.Actors.Metrics;

/// <summary>
/// Every metric that this program has. Instruments stand beside the code that they measure, one class with one meter
/// for each capability; what is not made by one of these classes is not exposed, whoever reports it.
/// </summary>
public static class MetricCatalogue
{
    /// <summary>Meters that are collected have names that begin so.</summary>
    public const string MeterPrefix = "SpotServe.";

    /// <summary>The classes whose static fields are the instruments.</summary>
    internal static ImmutableArray<Type> Classes { get; } =
    [
        typeof(RequestMetrics), typeof(GatewayMetrics), typeof(ReplicaMetrics), typeof(StepMetrics),
        typeof(TransferMetrics), typeof(LoadingMetrics), typeof(PlannerMetrics), typeof(CollectionMetrics),
    ];

    /// <summary>By the name that they are exposed by.</summary>
    public static FrozenDictionary<string, MetricDescription> All { get; } = Read();

    /// <summary>What an instrument is exposed as. OpenTelemetry allows no colon in a name, and Prometheus no dot: the
    /// first dot of a name is a colon for the names that other servers have too ("vllm."), and an underscore
    /// else.</summary>
    internal static MetricDescription Describe(Instrument instrument) => new(
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

    private static FrozenDictionary<string, MetricDescription> Read()
    {
        foreach (var type in Classes) RuntimeHelpers.RunClassConstructor(type.TypeHandle);
        var names = Classes.Select(type => $"{MeterPrefix}{type.Name[..^"Metrics".Length]}").ToHashSet();
        var found = new List<MetricDescription>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (names.Contains(instrument.Meter.Name)) found.Add(Describe(instrument));
            },
        };
        listener.Start();
        return found.ToFrozenDictionary(metric => metric.Name);
    }
}
