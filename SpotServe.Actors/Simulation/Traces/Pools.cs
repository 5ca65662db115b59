using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>A pool of spot machines: how many the cloud would give when.</summary>
/// <param name="Name">Of one zone and machine type, without "/".</param>
public sealed record Pool(string Name, Availability Offered)
{
    /// <summary>Machines that each one of the data stands for.</summary>
    public int Scale { get; init; } = 1;

    /// <summary>Of a machine: of pools that are used alike, the cheaper one is taken.</summary>
    public double PricePerHour { get; init; }
}

/// <summary>Takes machines from pools: as evenly as they offer them, and on-demand ones where they offer too
/// few.</summary>
public static class Pools
{
    /// <summary>The on-demand machines' pool.</summary>
    public const string OnDemand = "on-demand";

    /// <summary>Pool of a machine that <see cref="Spread"/> named.</summary>
    public static string PoolOf(string machine) => machine.Split('/')[0];

    /// <param name="wanted">Spot machines at most.</param>
    /// <param name="floor">Machines at least; on-demand ones fill up what spot does not give.</param>
    /// <param name="launchSeconds">From the wish for a machine until it is ready; none at the start.</param>
    /// <returns>Machines named "pool/number", until the last pool's data end.</returns>
    public static Availability Spread(
        IReadOnlyList<Pool> pools, int wanted, int floor, double launchSeconds)
    {
        var end = pools.Count == 0 ? 0 : pools.Max(pool => pool.Offered.EndSeconds);
        var counts = pools.Select(pool => pool.Offered.Counts()
            .Select(step => (step.Seconds, Count: step.Count * pool.Scale)).ToArray()).ToArray();
        var used = pools.Select(_ => new List<Taken>()).Append([]).ToArray();
        var all = new List<Taken>();
        var made = 0;
        foreach (var now in counts.SelectMany(steps => steps.Select(step => step.Seconds)).Append(0).Distinct().Order())
        {
            for (var i = 0; i < pools.Count; i++) Shrink(used[i], Offered(counts[i], now), now);
            while (used.SkipLast(1).Sum(machines => machines.Count) < wanted)
            {
                var best = Enumerable.Range(0, pools.Count)
                    .Where(i => Offered(counts[i], now) > used[i].Count)
                    .OrderBy(i => used[i].Count).ThenBy(i => pools[i].PricePerHour)
                    .ThenByDescending(i => Offered(counts[i], now)).ThenBy(i => i)
                    .Cast<int?>().FirstOrDefault();
                if (best is not { } pool) break;
                Take(pool, pools[pool].Name, now);
            }

            var missing = Math.Max(0, floor - used.SkipLast(1).Sum(machines => machines.Count));
            // An on-demand machine is given back when spot has taken its place, not while that is being launched.
            Shrink(used[^1], missing, now == 0 ? now : now + launchSeconds);
            while (used[^1].Count < missing) Take(pools.Count, OnDemand, now);
        }

        return new Availability("pools", Changes(all), end, []);

        void Take(int pool, string name, double now)
        {
            var machine = new Taken(
                FormattableString.Invariant($"{name}/{made++}"), now == 0 ? 0 : now + launchSeconds);
            used[pool].Add(machine);
            all.Add(machine);
        }
    }

    private static void Shrink(List<Taken> machines, int count, double now)
    {
        while (machines.Count > count)
        {
            machines[^1].GoneAt = now;
            machines.RemoveAt(machines.Count - 1);
        }
    }

    private static int Offered((double Seconds, int Count)[] steps, double now)
    {
        var (low, high) = (0, steps.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (steps[middle].Seconds <= now) low = middle + 1;
            else high = middle;
        }

        return low == 0 ? 0 : steps[low - 1].Count;
    }

    private static ImmutableArray<FleetChange> Changes(List<Taken> all)
    {
        var changes = new SortedDictionary<double, (List<string> Added, List<string> Removed)> { [0] = ([], []) };
        foreach (var machine in all.Where(machine => machine.GoneAt is not { } gone || gone > machine.ReadyAt))
        {
            At(machine.ReadyAt).Added.Add(machine.Name);
            if (machine.GoneAt is { } gone) At(gone).Removed.Add(machine.Name);
        }

        return
        [
            .. changes.Select(
                entry => new FleetChange(entry.Key, [.. entry.Value.Added], [.. entry.Value.Removed])),
        ];

        (List<string> Added, List<string> Removed) At(double seconds)
        {
            if (!changes.TryGetValue(seconds, out var change)) changes[seconds] = change = ([], []);
            return change;
        }
    }

    private sealed class Taken(string name, double readyAt)
    {
        public string Name => name;

        public double ReadyAt => readyAt;

        public double? GoneAt { get; set; }
    }
}
