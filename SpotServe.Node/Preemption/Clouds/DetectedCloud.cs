using System.Runtime.CompilerServices;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>
/// Notices of the cloud that this machine turns out to be in. Finding out is part of watching, so that the start of the
/// node does not wait for services that are not there. A service may be there later than the machine: it is looked for
/// again for some minutes.
/// </summary>
/// <param name="cloud">Which it is; null: to be found out.</param>
/// <param name="address">Where its metadata service answers; null: at the cloud's own address.</param>
internal sealed class DetectedCloud(CloudKind? cloud, Uri? address, TimeProvider clock, Action<string> say)
    : INoticeSource
{
    /// <summary>How long a metadata service is looked for.</summary>
    public static readonly TimeSpan SearchMax = TimeSpan.FromMinutes(5);

    /// <summary>Time between two looks.</summary>
    public static readonly TimeSpan SearchPeriod = TimeSpan.FromSeconds(10);

    private CloudNotices? _found;

    public string Name => "cloud";

    public async IAsyncEnumerable<MachineEvent> WatchAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        var kind = cloud ?? await FindAsync(cancel).ConfigureAwait(false);
        if (kind == CloudKind.None)
        {
            say("no cloud's metadata service was found, so that the end of this machine comes as SIGTERM or without " +
                "notice; if it is a cloud's, name that with --cloud");
            yield break;
        }

        using var service = new MetadataService(address ?? CloudDetection.DefaultAddress(kind), clock);
        var notices = new CloudNotices(CloudDetection.ProtocolOf(kind, service, clock), clock, say);
        say($"listens for notices of {notices.Name}");
        Volatile.Write(ref _found, notices);
        await foreach (var said in notices.WatchAsync(cancel).ConfigureAwait(false)) yield return said;
    }

    public Task AcknowledgeAsync(CancellationToken cancel) =>
        Volatile.Read(ref _found)?.AcknowledgeAsync(cancel) ?? Task.CompletedTask;

    private async Task<CloudKind> FindAsync(CancellationToken cancel)
    {
        var end = clock.GetUtcNow() + SearchMax;
        while (true)
        {
            var kind = await CloudDetection.FindAsync(address, clock, cancel).ConfigureAwait(false);
            if (kind != CloudKind.None || clock.GetUtcNow() >= end) return kind;
            using var timer = new PeriodicTimer(SearchPeriod, clock);
            await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false);
        }
    }
}
