using System.Diagnostics.Metrics;
using SpotServe.Actors.Metrics;

namespace SpotServe.Actors.DataPlane;

/// <summary>What the engine threads of this process do.</summary>
internal static class StepMetrics
{
    private static readonly Meter Meter = new("SpotServe.Step");

    public static Histogram<double> Seconds { get; } = Meter.CreateHistogram(
        "spotserve.step_seconds", "s",
        "Time that one stage's rank takes for its part of a step, from the previous stage's activations on.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = MetricBuckets.Seconds });
}
