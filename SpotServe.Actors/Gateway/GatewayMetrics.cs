using System.Diagnostics;
using System.Diagnostics.Metrics;
using SpotServe.Actors.Metrics;

namespace SpotServe.Actors.Gateway;

/// <summary>What a gateway lets in, and what it has open.</summary>
internal static class GatewayMetrics
{
    public static LiveGauges<GatewayWord> Gauges { get; } = new();

    private static readonly Meter Meter = new("SpotServe.Gateway");

    private static readonly Counter<long> Asked = Meter.CreateCounter<long>(
        "spotserve.requests_total", "{request}",
        "Requests that were asked for, by outcome: accepted, refused, busy or unavailable.",
        MetricNaming.With("outcome"));

    private static readonly ObservableGauge<double> Open = Meter.CreateObservableGauge(
        "spotserve.requests_open", () => Gauges.Observe(word => word.Open), "{request}",
        "Requests that a gateway has accepted, or is about to, and that have not ended.");

    private static readonly ObservableGauge<double> Unrouted = Meter.CreateObservableGauge(
        "spotserve.requests_unrouted", () => Gauges.Observe(word => word.Unrouted), "{request}",
        "Open requests of a gateway that no replica has been given yet.");

    private static readonly ObservableGauge<double> WaitingTokens = Meter.CreateObservableGauge(
        "spotserve.tokens_waiting", () => Gauges.Observe(word => word.WaitingTokens), "{token}",
        "Tokens of a gateway's open requests that have none yet, prompt and longest completion together.");

    private static readonly Counter<long> Busy = Meter.CreateCounter<long>(
        "spotserve.requests_busy_total", "{request}",
        "Requests that a bound kept out, by bound: requests, tokens, client_requests or client_tokens.",
        MetricNaming.With("bound"));

    public static void Count(DoorBound bound) => Busy.Add(1, new KeyValuePair<string, object?>(
        "bound",
        bound switch
        {
            DoorBound.Requests => "requests",
            DoorBound.Tokens => "tokens",
            DoorBound.ClientRequests => "client_requests",
            DoorBound.ClientTokens => "client_tokens",
            _ => throw new UnreachableException(),
        }));

    public static void Count(Admission outcome) => Asked.Add(1, new KeyValuePair<string, object?>(
        "outcome",
        outcome switch
        {
            Admission.Accepted => "accepted",
            Admission.Refused => "refused",
            Admission.Busy => "busy",
            Admission.Unavailable => "unavailable",
            _ => throw new UnreachableException(),
        }));
}

internal sealed record GatewayWord(int Open, int Unrouted, long WaitingTokens);

/// <summary>The gauges of one gateway, until it is disposed.</summary>
internal sealed class GatewayGauges : IDisposable
{
    public void Show(GatewayWord word) => GatewayMetrics.Gauges.Show(this, word);

    public void Dispose() => GatewayMetrics.Gauges.Remove(this);
}
