using SpotServe.Tests.Hosting;
using SpotServe.Tests.Planning;

namespace SpotServe.Tests.Mutations;

/// <summary>Bugs of what is planned: search, mapping, inheritance, migration.</summary>
internal static class PlanningMutations
{
    private const string Folder = "SpotServe.Actors/Planning/";

    public static Mutation[] All => [.. Search, .. Mapping, .. Migrating];

    private static Mutation[] Search =>
    [
        new("search: the migration buffer is not counted", Folder + "Search/StageCutter.cs",
            "+ (first ? front : 0) + (last ? back : 0) + options.MigrationBufferBytes;",
            "+ (first ? front : 0) + (last ? back : 0);",
            Killer.Of<MigrationBufferTests>()),
        new("search: layers go into the buffer of unequal devices", Folder + "Search/StageCutter.cs",
            "Math.Max(0, (kind.MemoryBytes - fixedBytes) / perLayer));",
            "Math.Max(0, (kind.MemoryBytes - fixedBytes + options.MigrationBufferBytes) / perLayer));",
            Killer.Of<MigrationBufferTests>()),
        new("search: too little throughput is enough", Folder + "Search/LayoutSearch.cs",
            "Objective.Latency => candidate.Throughput >= requestsPerSecond,",
            "Objective.Latency => candidate.Throughput >= requestsPerSecond / 2,",
            Killer.Of<LayoutSearchTests>()),
        new("search: more than a tie in latency counts as one", Folder + "Search/LayoutSearch.cs",
            "* (1 + options.LatencyTieFraction);",
            "* (1 + (8 * options.LatencyTieFraction));",
            Killer.Of<LayoutSearchTests>()),
        new("search: the slowest stage is not what limits", Folder + "Search/StageCutter.cs",
            "(counts[p] + 1) / speed[p] < (counts[best] + 1) / speed[best]",
            "counts[p] / speed[p] > (counts[best] + 1) / speed[best]",
            Killer.Of<LayoutSearchTests>(), Killer.Of<MigrationBufferTests>()),
        new("search: an overloaded queue is a short one", Folder + "Search/QueueEstimate.cs",
            "if (load >= 1) return new QueueEstimate(double.PositiveInfinity, 1);",
            "if (load >= 1) return new QueueEstimate(0, 0);",
            Killer.Of<CostModelTests>(), Killer.Of<LayoutSearchTests>()),
    ];

    private static Mutation[] Mapping =>
    [
        new("inheritance: the least advanced requests are kept", Folder + "Mapping/CacheInheritance.cs",
            ".OrderByDescending(entry => entry.Request.Decoded)",
            ".OrderBy(entry => entry.Request.Decoded)",
            Killer.Of<ReconfigurationPlannerTests>(), Killer.Of<CacheInheritanceTests>()),
        new("inheritance: a broken cache is gone on with", Folder + "Mapping/CacheInheritance.cs",
            "if (heads < model.KvHeadCount) return false;",
            "if (heads < 1) return false;",
            Killer.Of<DeviceMapperTests>(), Killer.Of<CacheInheritanceTests>()),
        new("inheritance: a new replica gets more requests than its batch", Folder + "Mapping/CacheInheritance.cs",
            "? Math.Min(requests.Count, target.BatchSize) : 0;",
            "? requests.Count : 0;",
            Killer.Of<CacheInheritanceTests>()),
        new("mapper: groups are exchanged for the worse", Folder + "Mapping/GroupExchange.cs",
            "if (onA + onB <= values[a] + values[b]) continue;",
            "if (onA + onB >= values[a] + values[b]) continue;",
            Killer.Of<DeviceMapperTests>()),
        new("downing: the side with fewer control members survives", "SpotServe.Actors/Hosting/DowningPolicy.cs",
            "? here.Count > gone.Count\n",
            "? here.Count < gone.Count\n",
            Killer.Of<DowningPolicyTests>()),
        new("downing: a node gives itself up though a control member answers",
            "SpotServe.Actors/Hosting/DowningPolicy.cs",
            "view.Controls.Count > 0 && view.Controls.All(",
            "view.Controls.Count > 0 && view.Controls.Any(",
            Killer.Of<DowningPolicyTests>()),
    ];

    private static Mutation[] Migrating =>
    [
        new("migration: pages of unlike heads stay in place", Folder + "Migrating/PageMoves.cs",
            "return sameHeads ? old.LayersOf(before)",
            "return sameHeads || device.Index >= 0 ? old.LayersOf(before)",
            Killer.Of<PageMovesTests>()),
        new("migration: pages that stay in place are copied all the same", Folder + "Migrating/PageMoves.cs",
            "if (common.Count == 0)\n",
            "if (common.Count >= 0)\n",
            Killer.Of<PageMovesTests>()),
        new("migration: bytes that are held twice are freed twice", Folder + "Migrating/HoldingDiff.cs",
            "            taken.Add(slice);\n",
            "",
            Killer.Of<HoldingDiffTests>()),
        new("arrangement: it stops when the notice is over", Folder + "Migrating/Arrangement.cs",
            "var last = clock.MostBefore((left - pause).TotalSeconds, int.MaxValue);",
            "var last = clock.MostBefore(left.TotalSeconds, int.MaxValue);",
            Killer.Of<ArrangementTests>()),
        new("arrangement: a join that comes too late is waited for", Folder + "Migrating/Arrangement.cs",
            "if (input.JoinIn is not null && withJoin <= last)",
            "if (input.JoinIn is not null && withJoin <= last + 1_000_000)",
            Killer.Of<ArrangementTests>()),
    ];
}
