namespace SpotServe.Actors.Simulation;

/// <summary>
/// Virtual time: what is due is done in the order of its time, and at one instant in the order in which it was
/// scheduled. One thread and no clock, so that equal runs are equal bit for bit.
/// </summary>
internal sealed class VirtualTime
{
    private readonly PriorityQueue<Action, (double At, long Order)> _due = new();
    private long _scheduled;

    /// <summary>Seconds since the run began.</summary>
    public double Now { get; private set; }

    /// <summary>Events that were handled so far.</summary>
    public long Handled { get; private set; }

    /// <summary>Schedules an event.</summary>
    /// <param name="seconds">Not before now.</param>
    public void At(double seconds, Action happens)
    {
        Invariant.Holds(seconds >= Now);
        _due.Enqueue(happens, (seconds, _scheduled++));
    }

    /// <summary>Handles all that is due up to an instant, which is now afterwards.</summary>
    /// <param name="progress">Hears the time after every 100,000 events; null for nobody.</param>
    public void RunUntil(double end, Action<double>? progress = null)
    {
        const int ProgressEvery = 100_000;
        while (_due.TryPeek(out _, out var next) && next.At <= end)
        {
            Invariant.Holds(next.At >= Now);
            Now = next.At;
            _due.Dequeue()();
            if (++Handled % ProgressEvery == 0) progress?.Invoke(Now);
        }

        Now = Math.Max(Now, end);
    }
}
