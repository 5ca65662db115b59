using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption;

/// <summary>Somebody who says that the machine is taken away, perhaps more than once: first a hint, say, and then by
/// when.</summary>
internal interface INoticeSource
{
    /// <summary>Gives notices as they come, until there can be none any more.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    IAsyncEnumerable<PreemptionNotice> NoticesAsync(CancellationToken cancel);
}
