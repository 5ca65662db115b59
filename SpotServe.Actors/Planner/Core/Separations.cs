using System.Collections.Immutable;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Pairs of nodes that do not reach each other although the planner reaches both. One report of that is a doubt: it may
/// have been a moment. A second one, from another epoch, sets the two apart for a time: no layout uses both. Then they
/// are tried together again, and each time that this fails the time doubles.
/// </summary>
internal sealed record Separations
{
    private ImmutableDictionary<(string, string), Known> _pairs = ImmutableDictionary<(string, string), Known>.Empty;

    public static Separations None { get; } = new();

    /// <summary>Pairs of which something is known.</summary>
    public int Count => _pairs.Count;

    /// <summary>One of the two could not reach the other in this epoch.</summary>
    /// <returns>For how long they are set apart from now on; null while it is but a doubt.</returns>
    public (Separations Next, TimeSpan? Apart) Report(
        PlannerLimits limits, string one, string other, Epoch epoch, DateTimeOffset now)
    {
        var pair = Pair(one, other);
        if (!_pairs.TryGetValue(pair, out var known) || now >= known.ForgottenAt)
        {
            return (With(pair, new Known(epoch, 0, now, now + limits.Doubt)), null);
        }

        // Both of them report the same.
        if (known.Epoch >= epoch) return (this, null);
        var time = limits.Apart * Math.Pow(2, Math.Min(known.Times, 30));
        if (time > limits.ApartMax) time = limits.ApartMax;
        return (With(pair, new Known(epoch, known.Times + 1, now + time, now + time + limits.Doubt)), time);
    }

    /// <summary>Whether it is likely that these two do not reach each other.</summary>
    public bool IsDoubted(string one, string other, DateTimeOffset now) =>
        _pairs.TryGetValue(Pair(one, other), out var known) && now < known.ForgottenAt;

    /// <summary>What was known of a node that is gone is of no use.</summary>
    public Separations Forget(string node) => this with
    {
        _pairs = _pairs.RemoveRange(_pairs.Keys.Where(pair => pair.Item1 == node || pair.Item2 == node)),
    };

    /// <summary>Fewest nodes, nearly, without which no two that are apart are left: always the one next that most
    /// others cannot reach; of equals one that does not serve, then the last by name.</summary>
    public ImmutableSortedSet<string> LeftOut(IEnumerable<string> nodes, Func<string, bool> serves, DateTimeOffset now)
    {
        var present = nodes.ToHashSet();
        var pairs = _pairs.Where(entry => now < entry.Value.ApartUntil).Select(entry => entry.Key)
            .Where(pair => present.Contains(pair.Item1) && present.Contains(pair.Item2))
            .ToList();
        var leftOut = ImmutableSortedSet.Create<string>(StringComparer.Ordinal);
        while (pairs.Count > 0)
        {
            var next = pairs.SelectMany(pair => (string[])[pair.Item1, pair.Item2])
                .GroupBy(node => node)
                .OrderByDescending(group => group.Count())
                .ThenBy(group => serves(group.Key))
                .ThenByDescending(group => group.Key, StringComparer.Ordinal)
                .First().Key;
            leftOut = leftOut.Add(next);
            pairs.RemoveAll(pair => pair.Item1 == next || pair.Item2 == next);
        }

        return leftOut;
    }

    private Separations With((string, string) pair, Known known) =>
        this with { _pairs = _pairs.SetItem(pair, known) };

    private static (string, string) Pair(string one, string other) =>
        string.CompareOrdinal(one, other) < 0 ? (one, other) : (other, one);

    private sealed record Known(Epoch Epoch, int Times, DateTimeOffset ApartUntil, DateTimeOffset ForgottenAt);
}
