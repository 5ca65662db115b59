using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>Machines that come and go at one instant.</summary>
/// <param name="Seconds">When the new ones are ready to be used, or the old ones are gone.</param>
/// <param name="Rate">Requests per second that are planned for from here on; null leaves that as it is.</param>
public sealed record FleetChange(
    double Seconds, ImmutableArray<string> Added, ImmutableArray<string> Removed, double? Rate = null);

/// <summary>Which machines are there when.</summary>
/// <param name="Changes">By rising time, the first at 0 with what is there at the start.</param>
/// <param name="EndSeconds">The end of what is known; a run ends here.</param>
/// <param name="Notes">What of the file was passed over, e.g. keys that are unknown.</param>
public sealed record Availability(
    string Name, ImmutableArray<FleetChange> Changes, double EndSeconds, ImmutableArray<string> Notes)
{
    /// <summary>Machines that are there after each change, with its time.</summary>
    public IEnumerable<(double Seconds, int Count)> Counts()
    {
        var count = 0;
        foreach (var change in Changes)
        {
            count += change.Added.Length - change.Removed.Length;
            yield return (change.Seconds, count);
        }
    }

    /// <summary>The same machines for all time.</summary>
    public static Availability Static(string name, int machines, double endSeconds) =>
        new(name, [new FleetChange(0, Names(machines), [])], endSeconds, []);

    /// <summary>A step curve of machines in number: those that came last go first.</summary>
    /// <param name="steps">By rising time.</param>
    public static Availability OfCounts(
        string name, IEnumerable<(double Seconds, int Count)> steps, double endSeconds, ImmutableArray<string> notes)
    {
        var changes = ImmutableArray.CreateBuilder<FleetChange>();
        var present = new List<string>();
        var made = 0;
        foreach (var (seconds, count) in steps)
        {
            if (count == present.Count && changes.Count > 0) continue;
            var gone = present.Skip(count).Reverse().ToImmutableArray();
            if (gone.Length > 0) present.RemoveRange(count, gone.Length);
            var fresh = ImmutableArray.CreateBuilder<string>();
            while (present.Count < count)
            {
                present.Add(FormattableString.Invariant($"node-{made++}"));
                fresh.Add(present[^1]);
            }

            changes.Add(new FleetChange(seconds, fresh.ToImmutable(), gone));
        }

        if (changes.Count == 0 || changes[0].Seconds > 0) changes.Insert(0, new FleetChange(0, [], []));
        return new Availability(name, changes.ToImmutable(), endSeconds, notes);
    }

    private static ImmutableArray<string> Names(int machines) =>
        [.. Enumerable.Range(0, machines).Select(i => FormattableString.Invariant($"node-{i}"))];
}
