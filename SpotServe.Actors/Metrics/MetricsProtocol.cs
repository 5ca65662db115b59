using System.Collections.Immutable;

namespace SpotServe.Actors.Metrics;

/// <summary>What processes tell the control nodes of their metrics.</summary>
internal static class MetricsProtocol
{
    /// <summary>Sent every second by each process to each control node. One that is lost costs nothing: the next one
    /// has all that it had.</summary>
    /// <param name="Process">Of <see cref="ProcessMetrics.ProcessId"/>.</param>
    /// <param name="Number">Grows with each report.</param>
    /// <param name="Content">Of <see cref="MetricsCodec"/>.</param>
    public sealed record ProcessReport(Guid Process, long Number, ImmutableArray<byte> Content);
}
