using System.Diagnostics;
using System.Diagnostics.Metrics;
using SpotServe.Actors.Metrics;

namespace SpotServe.Actors.Requests;

/// <summary>What clients get: how soon, how fast, and how it ends. The names are those of other LLM servers, so that
/// their dashboards work.</summary>
internal static class RequestMetrics
{
    private static readonly Meter Meter = new("SpotServe.Request");
    private static readonly InstrumentAdvice<double> Seconds = new()
    {
        HistogramBucketBoundaries = MetricBuckets.Seconds,
    };

    private static readonly InstrumentAdvice<double> TokenCounts = new()
    {
        HistogramBucketBoundaries = MetricBuckets.Tokens,
    };

    public static Histogram<double> TimeToFirstToken { get; } = Meter.CreateHistogram(
        "vllm.time_to_first_token_seconds", "s",
        "Time from a request's acceptance until its first token is in the journal and shown.", advice: Seconds);

    public static Histogram<double> InterTokenLatency { get; } = Meter.CreateHistogram(
        "vllm.inter_token_latency_seconds", "s",
        "Time between two tokens of a request; tokens that are shown together share the time evenly.",
        advice: Seconds);

    public static Histogram<double> EndToEnd { get; } = Meter.CreateHistogram(
        "vllm.e2e_request_latency_seconds", "s", "Time from a request's acceptance to its end.", advice: Seconds);

    public static Histogram<double> PromptLengths { get; } = Meter.CreateHistogram(
        "vllm.request_prompt_tokens", "{token}", "Tokens of the prompts of requests that have ended.",
        advice: TokenCounts);

    public static Histogram<double> GenerationLengths { get; } = Meter.CreateHistogram(
        "vllm.request_generation_tokens", "{token}", "Tokens generated for requests that have ended.",
        advice: TokenCounts);

    public static Histogram<double> TokensAskedFor { get; } = Meter.CreateHistogram(
        "vllm.request_params_max_tokens", "{token}", "Most tokens that accepted requests asked for.",
        advice: TokenCounts);

    public static Counter<long> PromptTokens { get; } = Meter.CreateCounter<long>(
        "vllm.prompt_tokens_total", "{token}", "Tokens of the prompts of requests that got a first token.");

    public static Counter<long> GenerationTokens { get; } = Meter.CreateCounter<long>(
        "vllm.generation_tokens_total", "{token}", "Tokens that were generated, are in the journal and were shown.");

    public static Counter<long> Ended { get; } = Meter.CreateCounter<long>(
        "vllm.request_success_total", "{request}",
        "Requests that have ended, by finished_reason: stop, length, abort (cancelled), error or timeout.",
        MetricNaming.With("finished_reason"));

    public static string NameOf(FinishReason reason) => reason switch
    {
        FinishReason.Stop => "stop",
        FinishReason.Length => "length",
        FinishReason.Cancelled => "abort",
        FinishReason.Failed => "error",
        FinishReason.TimedOut => "timeout",
        _ => throw new UnreachableException(),
    };
}
