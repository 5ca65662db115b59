using System.Diagnostics.Metrics;
using System.Globalization;
using SpotServe.Actors.Metrics;
using static SpotServe.Actors.Replica.ReplicaControlProtocol;

namespace SpotServe.Actors.Replica;

/// <summary>What a replica's scheduler does: who waits, who runs, how full its pages are.</summary>
internal static class ReplicaMetrics
{
    public static LiveGauges<ReplicaLoad> Live { get; } = new();

    private static readonly Meter Meter = new("SpotServe.Replica");
    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = MetricBuckets.Seconds,
    };

    private static readonly ObservableGauge<double> Running = Meter.CreateObservableGauge(
        "vllm.num_requests_running", () => Live.Observe(load => load.Running, Replica), "{request}",
        "Requests of a replica that have KV pages and go on.");

    private static readonly ObservableGauge<double> Waiting = Meter.CreateObservableGauge(
        "vllm.num_requests_waiting", () => Live.Observe(load => load.Queued, Replica), "{request}",
        "Requests of a replica that have no KV pages: new and suspended ones.");

    private static readonly ObservableGauge<double> CacheUsage = Meter.CreateObservableGauge(
        "vllm.kv_cache_usage_perc",
        () => Live.Observe(load => 1 - ((double)load.FreePages / load.PageCount), Replica), "1",
        "Share of a replica's KV pages that is not free, 0 to 1.");

    public static Histogram<double> QueueTime { get; } = Meter.CreateHistogram(
        "vllm.request_queue_time_seconds", "s", "Time from a request's submission to a replica until it has KV pages.",
        advice: Seconds);

    public static Histogram<double> PrefillTime { get; } = Meter.CreateHistogram(
        "vllm.request_prefill_time_seconds", "s", "Time from a request's first KV pages to its first token.",
        advice: Seconds);

    public static Histogram<double> DecodeTime { get; } = Meter.CreateHistogram(
        "vllm.request_decode_time_seconds", "s", "Time from a request's first token to its end at the same replica.",
        advice: Seconds);

    public static Histogram<double> StepTokens { get; } = Meter.CreateHistogram(
        "vllm.iteration_tokens_total", "{token}", "Tokens of a step, prompts' and generated ones together.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = MetricBuckets.Tokens });

    public static Counter<long> Suspensions { get; } = Meter.CreateCounter<long>(
        "vllm.num_preemptions_total", "{suspension}",
        "Times that a request had to give its KV pages up to another one of its replica.");

    public static Counter<long> Recomputed { get; } = Meter.CreateCounter<long>(
        "spotserve.tokens_recomputed_total", "{token}",
        "Tokens computed although they had been in a cache before: it was given up, or lost with its node.");

    public static Counter<long> PrefixQueries { get; } = Meter.CreateCounter<long>(
        "vllm.prefix_cache_queries_total", "{token}", "Tokens of requests that were looked for among kept KV pages.");

    public static Counter<long> PrefixHits { get; } = Meter.CreateCounter<long>(
        "vllm.prefix_cache_hits_total", "{token}", "Tokens that kept KV pages spared computing.");

    public static Counter<long> FailedSteps { get; } = Meter.CreateCounter<long>(
        "spotserve.steps_failed_total", "{step}", "Steps that failed for what they were asked to compute.");

    private static KeyValuePair<string, object?> Replica(ReplicaLoad load) =>
        new("replica", load.Replica.ToString(CultureInfo.InvariantCulture));
}
