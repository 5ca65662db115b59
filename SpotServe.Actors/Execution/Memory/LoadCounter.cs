namespace SpotServe.Actors.Execution.Memory;

/// <summary>Adds up where the bytes of a preparation come from, and reports each addition. Thread-safe.</summary>
internal sealed class LoadCounter
{
    private readonly Lock _gate = new();
    private readonly IProgress<LoadProgress>? _progress;
    private LoadProgress _sum;

    public LoadCounter(long totalBytes, IProgress<LoadProgress>? progress)
    {
        _sum = new LoadProgress(0, totalBytes);
        _progress = progress;
        progress?.Report(_sum);
    }

    public void AddRead(long bytes) => Add(bytes, 0, 0);

    public void AddReused(long bytes) => Add(bytes, bytes, 0);

    public void AddFetched(long bytes) => Add(bytes, 0, bytes);

    /// <summary>All is there: what was not counted is memory that front and back share.</summary>
    public void Complete()
    {
        long left;
        lock (_gate) left = _sum.TotalBytes - _sum.LoadedBytes;
        if (left > 0) AddReused(left);
    }

    private void Add(long bytes, long reused, long fetched)
    {
        LoadingMetrics.Count(bytes, reused, fetched);
        // Reported under the lock: the sums must not go backwards before the listener.
        lock (_gate)
        {
            _sum = new LoadProgress(
                _sum.LoadedBytes + bytes, _sum.TotalBytes, _sum.ReusedBytes + reused, _sum.PeerBytes + fetched);
            _progress?.Report(_sum);
        }
    }
}
