using SpotServe.Actors.Replica;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>
/// Tokens a second of all replicas, from what each has counted since its epoch began. Replicas report once a second and
/// not together, so the rate is the mean of the last few seconds.
/// </summary>
internal sealed class TokenRate
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(4);

    private readonly Dictionary<(Epoch, int Replica), long> _seen = [];
    private readonly Queue<(DateTimeOffset At, long Total)> _totals = new();
    private long _total;

    /// <summary>Tokens a second after these reports.</summary>
    public double Add(DateTimeOffset now, IReadOnlyCollection<ReplicaControlProtocol.ReplicaLoad> loads)
    {
        foreach (var load in loads)
        {
            var key = (load.Epoch, load.Replica);
            _total += Math.Max(0, load.TokensGenerated - _seen.GetValueOrDefault(key));
            _seen[key] = load.TokensGenerated;
        }

        var present = loads.Select(load => load.Epoch).DefaultIfEmpty(Epoch.None).Max();
        foreach (var old in _seen.Keys.Where(key => key.Item1 < present).ToArray()) _seen.Remove(old);
        _totals.Enqueue((now, _total));
        while (_totals.Count > 1 && now - _totals.Peek().At > Window) _totals.Dequeue();
        var (first, before) = _totals.Peek();
        var seconds = (now - first).TotalSeconds;
        return seconds <= 0 ? 0 : (_total - before) / seconds;
    }
}
