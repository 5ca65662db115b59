using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Gateway;

/// <summary>What was asked of a gateway within the last half minute or so, in slices of a second. No clock: instants
/// are given.</summary>
/// <param name="window">How far back arrivals count.</param>
internal sealed class ArrivalWindow(TimeSpan window)
{
    /// <summary>Few arrivals say little of how evenly they come: this many more are taken to come by chance.</summary>
    private const int GapsByChance = 16;

    private readonly OpenNumbers _open = new(window);
    private readonly Queue<Arrival> _arrivals = [];
    private readonly Queue<(DateTimeOffset At, int Tokens)> _ends = [];
    private readonly Queue<(DateTimeOffset At, long Tokens)> _drained = [];
    private DateTimeOffset? _since;

    public void OnAccepted(int promptTokens, int tokensMax, DateTimeOffset now)
    {
        _since ??= now;
        _arrivals.Enqueue(new Arrival(now, promptTokens, tokensMax));
    }

    public void OnEnded(int tokens, DateTimeOffset now) => _ends.Enqueue((now, tokens));

    /// <summary>So many requests are open now.</summary>
    public void OnOpen(int open, DateTimeOffset now) => _open.Set(open, now);

    /// <summary>Tokens that waited wait no more: their request begins, or is over.</summary>
    public void OnDrained(long tokens, DateTimeOffset now)
    {
        if (tokens > 0) _drained.Enqueue((now, tokens));
    }

    /// <summary>The time in which so many waiting tokens go, by those that went lately.</summary>
    /// <param name="otherwise">Where none went.</param>
    public TimeSpan TimeOfTokens(long tokens, TimeSpan otherwise, DateTimeOffset now)
    {
        Forget(now);
        if (_drained.Count == 0) return otherwise;
        return Wait(Heard(now) * tokens / _drained.Sum(drained => drained.Tokens));
    }

    /// <summary>The time in which one request ends, by those that ended lately: how long one that finds no place had
    /// better wait.</summary>
    /// <param name="otherwise">Where none ended.</param>
    public TimeSpan TimeOfOneEnd(TimeSpan otherwise, DateTimeOffset now)
    {
        Forget(now);
        if (_ends.Count == 0) return otherwise;
        return Wait(Heard(now) / _ends.Count);
    }

    /// <param name="waiting">Requests that no replica has taken.</param>
    public GatewayDemand Demand(int waiting, DateTimeOffset now)
    {
        Forget(now);
        if (_arrivals.Count == 0) return new GatewayDemand(0, 0, 0, waiting);
        // One that has just begun to listen has not heard a whole window; two seconds are the least to speak of a rate.
        var heard = now - (_since ?? now);
        var seconds = Math.Clamp(heard.TotalSeconds, Math.Min(2, window.TotalSeconds), window.TotalSeconds);
        return new GatewayDemand(
            _arrivals.Count / seconds,
            _arrivals.Average(arrival => arrival.PromptTokens),
            _ends.Count > 0 ? _ends.Average(end => end.Tokens) : _arrivals.Average(arrival => arrival.TokensMax),
            waiting,
            Math.Min(Variation(), _open.Spread(now)));
    }

    /// <summary>Squared coefficient of variation of the times between arrivals: 0 of even ones, 1 by chance.</summary>
    private double Variation()
    {
        var gaps = _arrivals.Zip(_arrivals.Skip(1), (one, next) => (next.At - one.At).TotalSeconds).ToList();
        if (gaps.Count == 0) return 1;
        var mean = gaps.Average();
        // All at one instant is one burst; how far bursts are apart is not known yet.
        if (mean <= 0) return 1;
        var measured = gaps.Average(gap => (gap - mean) * (gap - mean)) / (mean * mean);
        return (GapsByChance + (gaps.Count * measured)) / (GapsByChance + gaps.Count);
    }

    private double Heard(DateTimeOffset now) =>
        Math.Min(window.TotalSeconds, (now - (_since ?? now)).TotalSeconds);

    private static TimeSpan Wait(double seconds) => TimeSpan.FromSeconds(Math.Clamp(seconds, 1, 60));

    private void Forget(DateTimeOffset now)
    {
        while (_arrivals.TryPeek(out var arrival) && now - arrival.At > window) _arrivals.Dequeue();
        while (_ends.TryPeek(out var end) && now - end.At > window) _ends.Dequeue();
        while (_drained.TryPeek(out var drained) && now - drained.At > window) _drained.Dequeue();
    }

    private readonly record struct Arrival(DateTimeOffset At, int PromptTokens, int TokensMax);
}
