using SpotServe.Actors.Cluster;

namespace SpotServe.Node.Preemption;

/// <summary>
/// Everything that was said about this machine's end since the process started, from all sources. It outlives the
/// memberships of the cluster: a node that joins again under notice tells its new cluster at once. Thread-safe.
/// </summary>
internal sealed class NoticeBoard : IAsyncDisposable
{
    /// <summary>The cloud takes the machine anyhow: more than this is not waited for it to hear that it may.</summary>
    private static readonly TimeSpan AcknowledgeMax = TimeSpan.FromSeconds(1);

    private readonly IReadOnlyList<INoticeSource> _sources;
    private readonly Action<string> _warn;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private readonly List<Action<PreemptionNotice>> _readers = [];
    private readonly Task _watching;
    private PreemptionNotice? _earliest;

    /// <param name="warn">Gets a line for people about hints and failures.</param>
    public NoticeBoard(IReadOnlyList<INoticeSource> sources, Action<string> warn)
    {
        _sources = sources;
        _warn = warn;
        _watching = Task.WhenAll(sources.Select(source => Task.Run(() => WatchAsync(source))));
    }

    /// <summary>The notice with the earliest deadline so far; null when there was none.</summary>
    public PreemptionNotice? Earliest
    {
        get
        {
            lock (_lock) return _earliest;
        }
    }

    /// <summary>
    /// Has each notice that is earlier than all before it given to a reader, beginning with the earliest known. The
    /// reader must neither block nor throw; it is called by one thread at a time.
    /// </summary>
    /// <returns>Ends it when disposed.</returns>
    public IDisposable Subscribe(Action<PreemptionNotice> reader)
    {
        lock (_lock)
        {
            _readers.Add(reader);
            if (_earliest is { } notice) reader(notice);
        }

        return new Subscription(this, reader);
    }

    /// <summary>Tells the clouds that nothing on this machine is needed any more.</summary>
    public async Task AcknowledgeAsync()
    {
        using var limit = new CancellationTokenSource(AcknowledgeMax);
        foreach (var source in _sources)
        {
            try
            {
                await source.AcknowledgeAsync(limit.Token).ConfigureAwait(false);
            }
            catch (Exception error) when (error is HttpRequestException or OperationCanceledException)
            {
                _warn($"{source.Name} did not hear that this machine may go now: {error.Message}");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _watching.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task WatchAsync(INoticeSource source)
    {
        try
        {
            await foreach (var said in source.WatchAsync(_stop.Token).ConfigureAwait(false)) Take(said);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The process ends.
        }
    }

    private void Take(MachineEvent said)
    {
        if (said is MachineEvent.MayLeave hint)
        {
            _warn($"{hint.Source} says that this machine may be taken: {hint.Reason}. It serves on until there is a "
                + "notice.");
            return;
        }

        var notice = ((MachineEvent.Leaves)said).Notice;
        lock (_lock)
        {
            if (_earliest is { } known && known.Deadline <= notice.Deadline) return;
            _earliest = notice;
            foreach (var reader in _readers) reader(notice);
        }
    }

    private sealed class Subscription(NoticeBoard board, Action<PreemptionNotice> reader) : IDisposable
    {
        public void Dispose()
        {
            lock (board._lock) board._readers.Remove(reader);
        }
    }
}
