using System.Diagnostics.Metrics;
using SpotServe.Actors.Metrics;

namespace SpotServe.Actors.Planner;

/// <summary>What the planner knows, and what its reconfigurations cost.</summary>
internal static class PlannerMetrics
{
    /// <summary>The state of each planner that runs in this process: one, or none.</summary>
    public static LiveGauges<PlannerState> Live { get; } = new();

    private static readonly Meter Meter = new("SpotServe.Planner");

    private static readonly InstrumentAdvice<double> InSeconds = new()
    {
        HistogramBucketBoundaries = MetricBuckets.Seconds,
    };

    private static readonly ObservableGauge<double> Epochs = Meter.CreateObservableGauge(
        "spotserve.epoch", () => Live.Observe(state => state.Journal.Epoch.Value), "{epoch}",
        "The newest epoch that was decided.");

    private static readonly ObservableGauge<double> Degrees = Meter.CreateObservableGauge(
        "spotserve.layout_degree", () => Live.Observe(PlannerGauges.Degrees), "1",
        "Degrees of the layout that serves, by axis: replicas, stages, ranks and batch.");

    private static readonly ObservableGauge<double> Serving = Meter.CreateObservableGauge(
        "spotserve.replicas_serving", () => Live.Observe(PlannerGauges.Replicas), "{replica}",
        "Replicas that take requests.");

    private static readonly ObservableGauge<double> Devices = Meter.CreateObservableGauge(
        "spotserve.devices", () => Live.Observe(PlannerGauges.Devices), "{device}",
        "Devices of nodes that report, by state: serving, idle or leaving.");

    private static readonly ObservableGauge<double> Nodes = Meter.CreateObservableGauge(
        "spotserve.nodes", () => Live.Observe(PlannerGauges.Nodes), "{node}",
        "Nodes that report, by state: staying, or leaving after a notice.");

    private static readonly ObservableGauge<double> Price = Meter.CreateObservableGauge(
        "spotserve.price_per_hour", () => Live.Observe(PlannerGauges.PricePerHour), "1",
        "Price of all nodes that report, an hour, as far as it was said.");

    public static Counter<long> Reconfigurations { get; } = Meter.CreateCounter<long>(
        "spotserve.reconfigurations_total", "{reconfiguration}",
        "Changes of layout that are over, by cause (start, notice, loss, join, wish, other) and outcome (serving or " +
        "given_up).");

    public static Histogram<double> PhaseSeconds { get; } = Meter.CreateHistogram(
        "spotserve.reconfiguration_phase_seconds", "s", "Time that a reconfiguration was in a phase, by phase.",
        advice: InSeconds);

    public static Histogram<double> PauseSeconds { get; } = Meter.CreateHistogram(
        "spotserve.pause_seconds", "s",
        "Time from the order to stop, or the loss of the last replica, until all new replicas served.",
        advice: InSeconds);

    public static Counter<long> Bytes { get; } = Meter.CreateCounter<long>(
        "spotserve.reconfiguration_bytes_total", "By",
        "Bytes of reconfigurations, by kind (weights or pages) and source (memory, peer or folder).");

    public static Counter<long> Sequences { get; } = Meter.CreateCounter<long>(
        "spotserve.sequences_total", "{sequence}",
        "Sequences that were under way at a reconfiguration, by result: handed_over or computed_anew.");

    public static Counter<long> Notices { get; } = Meter.CreateCounter<long>(
        "spotserve.notices_total", "{notice}", "Nodes that said they will be taken away.");

    public static Counter<long> Losses { get; } = Meter.CreateCounter<long>(
        "spotserve.losses_total", "{node}", "Nodes that were lost without having been released.");
}
