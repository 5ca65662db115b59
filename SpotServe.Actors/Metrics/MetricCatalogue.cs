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
internal static class MetricCatalogue
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

    private static FrozenDictionary<string, MetricDescription> Read()
    {
        foreach (var type in Classes) RuntimeHelpers.RunClassConstructor(type.TypeHandle);
        var names = Classes.Select(type => $"{MeterPrefix}{type.Name[..^"Metrics".Length]}").ToHashSet();
        var found = new List<MetricDescription>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (names.Contains(instrument.Meter.Name)) found.Add(MetricNaming.Describe(instrument));
            },
        };
        listener.Start();
        return found.ToFrozenDictionary(metric => metric.Name);
    }
}
