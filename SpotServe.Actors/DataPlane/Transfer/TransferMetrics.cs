using System.Diagnostics.Metrics;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Metrics;

namespace SpotServe.Actors.DataPlane;

/// <summary>Bulk transfers as their receivers see them.</summary>
internal static class TransferMetrics
{
    public const string FromPeer = "peer";
    public const string FromThisNode = "node";

    private static readonly Meter Meter = new("SpotServe.Transfer");

    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>(
        "spotserve.transfer_bytes_total", "By",
        "Bytes that arrived whole, by kind (weights or pages) and source (peer, or another device of this node).",
        MetricNaming.With("kind", "source"));

    public static Counter<long> Retries { get; } = Meter.CreateCounter<long>(
        "spotserve.transfer_retries_total", "{try}",
        "Tries of a transfer that failed: a connection broke, or a checksum did not agree.");

    public static Counter<long> Lost { get; } = Meter.CreateCounter<long>(
        "spotserve.transfers_lost_total", "{transfer}", "Transfers that were given up.");

    public static void Moved(SliceRequest request, string source, int bytes) => Bytes.Add(
        bytes, new("kind", request.Weights is null ? "pages" : "weights"), new("source", source));
}
