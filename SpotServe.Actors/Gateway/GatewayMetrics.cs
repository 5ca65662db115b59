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
        "Requests that were asked for, by outcome: accepted, refused, busy or unavailable.");

    private static readonly ObservableGauge<double> Open = Meter.CreateObservableGauge(
        "spotserve.requests_open", () => Gauges.Observe(word => word.Open), "{request}",
        "Requests that a gateway has accepted, or is about to, and that have not ended.");

    private static readonly ObservableGauge<double> Unrouted = Meter.CreateObservableGauge(
        "spotserve.requests_unrouted", () => Gauges.Observe(word => word.Unrouted), "{request}",
        "Open requests of a gateway that no replica has been given yet.");

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

internal sealed record GatewayWord(int Open, int Unrouted);

/// <summary>The gauges of one gateway, until it is disposed.</summary>
internal sealed class GatewayGauges : IDisposable
{
    public void Show(int open, int unrouted) => GatewayMetrics.Gauges.Show(this, new GatewayWord(open, unrouted));

    public void Dispose() => GatewayMetrics.Gauges.Remove(this);
}
