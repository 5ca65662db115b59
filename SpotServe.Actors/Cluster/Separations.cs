using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Pairs of nodes that do not reach each other although the planner reaches both. One report of that is a doubt: it may
/// have been a moment. A second one, from another epoch, sets the two apart for a time: no layout uses both. Then they
/// are tried together again, and each time that this fails the time doubles. No clock: instants are given.
/// </summary>
/// <param name="apart">First time for which two are set apart.</param>
/// <param name="apartMax">Longest such time.</param>
/// <param name="doubt">How long a doubt lasts, and how long after its time a pair that was apart is remembered.</param>
internal sealed class Separations(TimeSpan apart, TimeSpan apartMax, TimeSpan doubt)
{
    private readonly Dictionary<(string, string), Record> _records = [];

    /// <summary>One of the two could not reach the other in this epoch.</summary>
    /// <returns>For how long they are set apart from now on; null while it is but a doubt.</returns>
    public TimeSpan? Report(string one, string other, Epoch epoch, DateTimeOffset now)
    {
        var pair = Pair(one, other);
        if (!_records.TryGetValue(pair, out var known) || now >= known.ForgottenAt)
        {
            _records[pair] = new Record(epoch, 0, now, now + doubt);
            return null;
        }

        // Both of them report the same.
        if (known.Epoch >= epoch) return null;
        var time = apart * Math.Pow(2, Math.Min(known.Times, 30));
        if (time > apartMax) time = apartMax;
        _records[pair] = new Record(epoch, known.Times + 1, now + time, now + time + doubt);
        return time;
    }

    /// <summary>Whether it is likely that these two do not reach each other.</summary>
    public bool IsDoubted(string one, string other, DateTimeOffset now) =>
        _records.TryGetValue(Pair(one, other), out var record) && now < record.ForgottenAt;

    /// <summary>What was known of a node that is gone is of no use.</summary>
    public void Forget(string node)
    {
        foreach (var pair in _records.Keys.Where(pair => pair.Item1 == node || pair.Item2 == node).ToArray())
        {
            _records.Remove(pair);
        }
    }

    /// <summary>Fewest nodes, nearly, without which no two that are apart are left: always the one next that most
    /// others cannot reach; of equals one that does not serve, then the last by name.</summary>
    public HashSet<string> LeftOut(IEnumerable<string> nodes, Func<string, bool> serves, DateTimeOffset now)
    {
        var present = nodes.ToHashSet();
        var pairs = _records.Where(entry => now < entry.Value.ApartUntil).Select(entry => entry.Key)
            .Where(pair => present.Contains(pair.Item1) && present.Contains(pair.Item2))
            .ToList();
        var leftOut = new HashSet<string>();
        while (pairs.Count > 0)
        {
            var next = pairs.SelectMany(pair => (string[])[pair.Item1, pair.Item2])
                .GroupBy(node => node)
                .OrderByDescending(group => group.Count())
                .ThenBy(group => serves(group.Key))
                .ThenByDescending(group => group.Key, StringComparer.Ordinal)
                .First().Key;
            leftOut.Add(next);
            pairs.RemoveAll(pair => pair.Item1 == next || pair.Item2 == next);
        }

        return leftOut;
    }

    private static (string, string) Pair(string one, string other) =>
        string.CompareOrdinal(one, other) < 0 ? (one, other) : (other, one);

    private sealed record Record(Epoch Epoch, int Times, DateTimeOffset ApartUntil, DateTimeOffset ForgottenAt);
}
