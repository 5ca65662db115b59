using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption;

/// <summary>All that this process itself hears of its end, from all sources. A membership of the cluster gets what
/// counts by then, and what is heard while it lasts. Thread-safe.</summary>
internal sealed class Notices
{
    private readonly Lock _lock = new();
    private Action<PreemptionNotice>? _listener;

    /// <summary>The notice that counts so far; null without one.</summary>
    public PreemptionNotice? Current { get; private set; }

    /// <summary>Listens to a source until it has no more to say or is cancelled. Never fails because of the
    /// latter.</summary>
    public async Task ListenAsync(INoticeSource source, CancellationToken cancel)
    {
        try
        {
            await foreach (var notice in source.NoticesAsync(cancel).ConfigureAwait(false)) Hear(notice);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Nobody is interested any more.
        }
    }

    /// <summary>Gives the notice that counts, and each that counts more, to one listener, which replaces the one
    /// before.</summary>
    public void GiveTo(Action<PreemptionNotice> listener)
    {
        lock (_lock)
        {
            _listener = listener;
            if (Current is { } known) listener(known);
        }
    }

    private void Hear(PreemptionNotice notice)
    {
        lock (_lock)
        {
            if (!notice.Supersedes(Current)) return;
            Current = notice;
            _listener?.Invoke(notice);
        }
    }
}
