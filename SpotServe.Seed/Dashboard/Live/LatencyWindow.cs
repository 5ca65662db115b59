namespace SpotServe.Seed.Dashboard.Live;

/// <summary>How long clients of this control node have waited lately, for first tokens and between tokens.
/// Thread-safe and bounded: of more values than fit, the oldest are forgotten.</summary>
internal sealed class LatencyWindow
{
    private const int ValuesMax = 4096;
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(15);

    private readonly Lock _lock = new();
    private readonly Queue<(DateTimeOffset At, double Seconds)> _first = new();
    private readonly Queue<(DateTimeOffset At, double Seconds)> _between = new();

    public void AddFirst(DateTimeOffset now, TimeSpan wait) => Add(_first, now, wait);

    public void AddBetween(DateTimeOffset now, TimeSpan wait) => Add(_between, now, wait);

    /// <summary>Null when no request began lately.</summary>
    public Percentiles? TimeToFirst(DateTimeOffset now) => Of(_first, now);

    /// <summary>Null when no token came lately.</summary>
    public Percentiles? BetweenTokens(DateTimeOffset now) => Of(_between, now);

    private void Add(Queue<(DateTimeOffset, double)> values, DateTimeOffset now, TimeSpan wait)
    {
        lock (_lock)
        {
            if (values.Count == ValuesMax) values.Dequeue();
            values.Enqueue((now, wait.TotalSeconds));
        }
    }

    private Percentiles? Of(Queue<(DateTimeOffset At, double Seconds)> values, DateTimeOffset now)
    {
        double[] sorted;
        lock (_lock)
        {
            while (values.Count > 0 && now - values.Peek().At > Window) values.Dequeue();
            sorted = [.. values.Select(value => value.Seconds)];
        }

        if (sorted.Length == 0) return null;
        Array.Sort(sorted);
        return new Percentiles(At(0.5), At(0.95), At(0.99));

        double At(double share) => sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
    }
}
