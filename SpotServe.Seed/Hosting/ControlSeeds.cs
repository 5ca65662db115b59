using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Hosting;

/// <summary>The control nodes of a cluster as the command line names them.</summary>
public static class ControlSeeds
{
    /// <summary>Sorted, so that it does not matter in which order each was given them.</summary>
    /// <exception cref="UsageException">A seed is malformed, this one is not among them, or they would not share a
    /// journal.</exception>
    public static IReadOnlyList<string> Read(string[] seeds, string self, string? database)
    {
        if (seeds.Length == 0) return [];
        foreach (var seed in seeds)
        {
            var parts = seed.Split(':');
            if (parts is not [{ Length: > 0 }, var port] || !ushort.TryParse(port, out var number) || number == 0)
                throw new UsageException($"--seed {seed} is not HOST:PORT.");
        }

        if (!seeds.Contains(self))
        {
            throw new UsageException(
                $"--seed names {string.Join(", ", seeds)}, but not this control node, {self}. Give all of them on " +
                "each, with the --host and --cluster-port that each has.");
        }

        if (seeds.Length > 1 && database is null)
        {
            throw new UsageException(
                "Several control nodes need one journal: give each the same --database (PostgreSQL). A SQLite file " +
                "in --data would be each one's own, and requests would be lost with it.");
        }

        return [.. seeds.Distinct().Order(StringComparer.Ordinal)];
    }
}
