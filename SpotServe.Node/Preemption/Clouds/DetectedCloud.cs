using System.Runtime.CompilerServices;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>
/// Notices of the cloud that this machine turns out to be in. Finding out is part of watching, so that the start of the
/// node does not wait for services that are not there.
/// </summary>
/// <param name="cloud">Which it is; null: to be found out.</param>
/// <param name="address">Where its metadata service answers; null: at the cloud's own address.</param>
internal sealed class DetectedCloud(CloudKind? cloud, Uri? address, TimeProvider clock, Action<string> say)
    : INoticeSource
{
    private CloudNotices? _found;

    public string Name => "cloud";

    public async IAsyncEnumerable<MachineEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        var kind = cloud ?? await CloudDetection.FindAsync(address, clock, cancel).ConfigureAwait(false);
        if (kind == CloudKind.None) yield break;
        using var service = new MetadataService(address ?? CloudDetection.DefaultAddress(kind), clock);
        var notices = new CloudNotices(CloudDetection.ProtocolOf(kind, service, clock), clock, say);
        say($"listens for notices of {notices.Name}");
        Volatile.Write(ref _found, notices);
        await foreach (var said in notices.WatchAsync(cancel).ConfigureAwait(false)) yield return said;
    }

    public Task AcknowledgeAsync(CancellationToken cancel) =>
        Volatile.Read(ref _found)?.AcknowledgeAsync(cancel) ?? Task.CompletedTask;
}
