using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>Puts events together to an availability, and refuses those that contradict each other.</summary>
internal sealed class FleetBuilder(TraceText source)
{
    private readonly HashSet<string> _present = new(StringComparer.Ordinal);
    private readonly List<FleetChange> _changes = [];
    private readonly SortedSet<string> _unknown = new(StringComparer.Ordinal);

    /// <summary>A key that is passed over, and told of.</summary>
    public void Unknown(string key) => _unknown.Add(key);

    public void Change(
        int line, double seconds, ImmutableArray<string> added, ImmutableArray<string> removed, double? rate)
    {
        if (_changes.Count > 0 && seconds < _changes[^1].Seconds)
            throw new TraceException(source.File, line, "the time goes backwards", "times must not fall");
        foreach (var node in added)
        {
            if (!_present.Add(node))
                throw new TraceException(source.File, line, $"{node} is added twice", "remove it first");
        }

        foreach (var node in removed)
        {
            if (!_present.Remove(node))
                throw new TraceException(source.File, line, $"{node} is removed and is not there", "add it first");
        }

        if (_changes.Count > 0 && _changes[^1].Seconds == seconds)
        {
            _changes[^1] = Joined(_changes[^1], added, removed, rate);
        }
        else
        {
            _changes.Add(new FleetChange(seconds, added, removed, rate));
        }
    }

    /// <param name="end">Null takes the last event's time.</param>
    public Availability Build(double? end)
    {
        if (_changes.Count == 0)
            throw new TraceException(source.File, 0, "no machine ever comes", "at least one must be added");
        if (_changes[0].Seconds > 0) _changes.Insert(0, new FleetChange(0, [], []));
        return new Availability(
            source.File, [.. _changes], Math.Max(end ?? 0, _changes[^1].Seconds),
            [.. _unknown.Select(key => $"{source.File}: the key {key} is not known and was passed over")]);
    }

    /// <summary>A machine that comes and goes at one instant was never there.</summary>
    private static FleetChange Joined(
        FleetChange before, ImmutableArray<string> added, ImmutableArray<string> removed, double? rate)
    {
        var passing = before.Added.Intersect(removed).ToImmutableHashSet();
        return before with
        {
            Added = [.. before.Added.Where(node => !passing.Contains(node)), .. added],
            Removed = [.. before.Removed, .. removed.Where(node => !passing.Contains(node))],
            Rate = rate ?? before.Rate,
        };
    }
}
