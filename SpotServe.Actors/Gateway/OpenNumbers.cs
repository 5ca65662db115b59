namespace SpotServe.Actors.Gateway;

/// <summary>How many requests were open at once, within a window. No clock: instants are given, rising.</summary>
internal sealed class OpenNumbers(TimeSpan window)
{
    private readonly Queue<(DateTimeOffset At, int Open)> _changes = [];

    /// <summary>From now on so many are open.</summary>
    public void Set(int open, DateTimeOffset now)
    {
        Forget(now);
        _changes.Enqueue((now, open));
    }

    /// <summary>Variance over mean, of time: 0 where always as many are open, which those that ask anew when they are
    /// answered make, 1 of requests that come by chance, more where they also wait for each other. 1 before anything is
    /// known.</summary>
    public double Spread(DateTimeOffset now)
    {
        Forget(now);
        var (time, sum, squares) = (0.0, 0.0, 0.0);
        var (since, open) = (now, 0);
        foreach (var change in _changes.Append((At: now, Open: 0)))
        {
            var seconds = Math.Max(0, (change.At - since).TotalSeconds);
            (time, sum, squares) = (time + seconds, sum + (open * seconds), squares + (open * open * seconds));
            (since, open) = (Begins(change.At, now), change.Open);
        }

        if (sum <= 0) return 1;
        var mean = sum / time;
        return Math.Max(0, (squares / time) - (mean * mean)) / mean;
    }

    /// <summary>One that began before the window counts from its beginning.</summary>
    private DateTimeOffset Begins(DateTimeOffset at, DateTimeOffset now) => at < now - window ? now - window : at;

    /// <summary>What held before the window began is kept: it holds until the next change.</summary>
    private void Forget(DateTimeOffset now)
    {
        while (_changes.Count > 1 && _changes.ElementAt(1).At <= now - window) _changes.Dequeue();
    }
}
