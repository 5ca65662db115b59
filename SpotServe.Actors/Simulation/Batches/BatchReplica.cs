using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>
/// A replica with the paper's fixed batches: it runs one batch from start to end and keeps a few requests waiting.
/// Times come from the cost model; at any instant each request of the batch has a whole number of tokens.
/// </summary>
/// <param name="costOf">Times of a batch by its size.</param>
/// <param name="sizeMax">B.</param>
/// <param name="readyAt">Before this it runs nothing.</param>
internal sealed class BatchReplica(Func<int, ReplicaCost> costOf, int sizeMax, double readyAt)
{
    private ReplicaCost _cost;
    private double _startedAt;
    private bool _prefills;

    public int SizeMax => sizeMax;

    public double ReadyAt => readyAt;

    /// <summary>No batch is begun that would not give a token before this.</summary>
    public double StopsAt { get; set; } = double.PositiveInfinity;

    public List<SimulatedRequest> Running { get; } = [];

    public Queue<SimulatedRequest> Waiting { get; } = new();

    /// <summary>Counts batches, so that the end of one that was broken off is known for what it is.</summary>
    public int Version { get; private set; }

    public int Pool => Running.Count + Waiting.Count;

    /// <summary>Whether a batch that begins now gives a token before the replica stops.</summary>
    public bool CanStart(double now, int size)
    {
        if (now < readyAt) return false;
        if (double.IsInfinity(StopsAt)) return true;
        var cost = costOf(size);
        return now + cost.Prefill + cost.Step <= StopsAt;
    }

    /// <summary>Begins a batch.</summary>
    /// <param name="prefills">Whether the prompts are computed first; false when the cache is there already.</param>
    /// <returns>When its last request is done.</returns>
    public double Start(double now, IEnumerable<SimulatedRequest> batch, bool prefills)
    {
        Invariant.Holds(Running.Count == 0);
        Running.AddRange(batch);
        Invariant.Holds(Running.Count > 0 && Running.Count <= sizeMax);
        _cost = costOf(Running.Count);
        _startedAt = Math.Max(now, readyAt);
        _prefills = prefills;
        Version++;
        return Running.Max(EndOf);
    }

    /// <summary>When a request of the running batch has its last token.</summary>
    public double EndOf(SimulatedRequest request) =>
        FirstStepAt + (request.Remaining * _cost.Step) + (_prefills ? _cost.Overhead : 0);

    /// <summary>Ends the batch at an instant: requests that are done by then are complete, the others have the tokens
    /// that were done.</summary>
    /// <returns>Those that are not complete.</returns>
    public List<SimulatedRequest> Break(double now)
    {
        var left = new List<SimulatedRequest>();
        foreach (var request in Running)
        {
            var end = EndOf(request);
            if (end <= now)
            {
                request.Advance(request.Remaining);
                request.Complete(end);
                continue;
            }

            request.Advance(TokensBy(now, request));
            left.Add(request);
        }

        Running.Clear();
        Version++;
        return left;
    }

    /// <summary>Whether the running batch's prompts were computed, or the cache was inherited, by an instant.</summary>
    public bool HasCache(double now) => !_prefills || now >= FirstStepAt;

    private double FirstStepAt => _startedAt + (_prefills ? _cost.Prefill : 0);

    private int TokensBy(double now, SimulatedRequest request)
    {
        if (now < FirstStepAt) return 0;
        return Math.Clamp((int)((now - FirstStepAt) / _cost.Step), 0, request.Remaining - 1);
    }
}
