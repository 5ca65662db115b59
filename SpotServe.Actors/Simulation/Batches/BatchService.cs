namespace SpotServe.Actors.Simulation;

/// <summary>
/// The queue in front of replicas with fixed batches, dispatched as the paper's artifact does: an idle replica takes
/// the largest power of two of waiting requests up to B at once; otherwise the replica with the fewest requests, if it
/// has fewer than its limit, is given the largest power of two to keep waiting. A replica that ends a batch starts the
/// next from those before anything else comes to it.
/// </summary>
/// <param name="poolFactor">A replica has at most this many times B requests, running and waiting.</param>
internal sealed class BatchService(VirtualTime time, int poolFactor)
{
    private readonly SortedSet<SimulatedRequest> _queue =
        new(Comparer<SimulatedRequest>.Create((left, right) => left.Index.CompareTo(right.Index)));

    private readonly List<BatchReplica> _replicas = [];

    public IReadOnlyList<BatchReplica> Replicas => _replicas;

    public int Queued => _queue.Count;

    public void Arrive(SimulatedRequest request)
    {
        _queue.Add(request);
        Dispatch();
    }

    /// <summary>Requests that go on from the start wait again, each at the place of its arrival.</summary>
    public void Requeue(IEnumerable<SimulatedRequest> requests)
    {
        foreach (var request in requests) _queue.Add(request);
    }

    /// <summary>Adds a replica, which begins with requests whose cache it inherits.</summary>
    public void Open(BatchReplica replica, IReadOnlyCollection<SimulatedRequest> inherited)
    {
        _replicas.Add(replica);
        if (inherited.Count > 0) Run(replica, inherited, prefills: false);
        time.At(Math.Max(time.Now, replica.ReadyAt), Dispatch);
    }

    /// <summary>Takes a replica out; those that only waited in it wait in the queue again.</summary>
    /// <returns>The requests of the batch that was broken off, and whether their keys and values were there.</returns>
    public (List<SimulatedRequest> Broken, bool HadCache) Close(BatchReplica replica)
    {
        Invariant.Holds(_replicas.Remove(replica));
        var hadCache = replica.HasCache(time.Now);
        var broken = replica.Running.Count == 0 ? [] : replica.Break(time.Now);
        Requeue(replica.Waiting);
        replica.Waiting.Clear();
        return (broken, hadCache);
    }

    /// <summary>Books what is done by the end of the run.</summary>
    public void Finish()
    {
        foreach (var replica in _replicas) replica.Break(time.Now);
    }

    public void Dispatch()
    {
        while (_queue.Count > 0)
        {
            if (Idle() is { } idle)
            {
                Run(idle, Take(Math.Min(_queue.Count, idle.SizeMax)), prefills: true);
                continue;
            }

            var least = _replicas
                .Where(replica => replica.ReadyAt <= time.Now && replica.Pool > 0
                    && replica.Pool < poolFactor * replica.SizeMax)
                .MinBy(replica => replica.Pool);
            if (least is null) return;
            // The limit says who takes more, not how many: with a long queue a pool goes past it by up to B - 1.
            foreach (var request in Take(Math.Min(_queue.Count, least.SizeMax))) least.Waiting.Enqueue(request);
        }
    }

    private BatchReplica? Idle() => _replicas.FirstOrDefault(replica =>
        replica.Pool == 0 && replica.CanStart(time.Now, PowerOfTwo(Math.Min(_queue.Count, replica.SizeMax))));

    private void Run(BatchReplica replica, IReadOnlyCollection<SimulatedRequest> batch, bool prefills)
    {
        var end = replica.Start(time.Now, batch, prefills);
        var version = replica.Version;
        time.At(end, () => OnBatchEnd(replica, version));
    }

    private void OnBatchEnd(BatchReplica replica, int version)
    {
        if (replica.Version != version) return;
        Invariant.Holds(replica.Break(time.Now).Count == 0);
        var next = PowerOfTwo(Math.Min(replica.Waiting.Count, replica.SizeMax));
        if (next > 0 && replica.CanStart(time.Now, next))
        {
            var batch = new List<SimulatedRequest>(next);
            while (batch.Count < next) batch.Add(replica.Waiting.Dequeue());
            Run(replica, batch, prefills: true);
        }

        Dispatch();
    }

    private List<SimulatedRequest> Take(int most)
    {
        var taken = new List<SimulatedRequest>();
        for (var count = PowerOfTwo(most); count > 0; count--)
        {
            var first = _queue.Min!;
            _queue.Remove(first);
            taken.Add(first);
        }

        return taken;
    }

    /// <summary>The largest power of two up to a number; 0 of 0.</summary>
    private static int PowerOfTwo(int most) =>
        most <= 0 ? 0 : 1 << System.Numerics.BitOperations.Log2((uint)most);
}
