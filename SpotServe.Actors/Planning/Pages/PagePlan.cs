using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>What becomes of KV pages when one layout follows another.</summary>
/// <param name="Counts">KV pages of each new replica.</param>
/// <param name="KeepsServing">Whether there is room for both layouts; if not, the old one stops and gives up its pages
/// before the new one gets ready, and its requests are computed anew.</param>
/// <param name="Successions">Which old replica hands over to which new ones; none when no pages are gone on
/// with.</param>
/// <param name="Homes">Per new replica, the old one whose page ids it keeps; null for none.</param>
/// <param name="SharedOn">Devices whose new engine goes on with the old one's pages in place.</param>
/// <param name="ShortOn">Devices on which the pages have no room beside all weights that are there: those that the
/// layout has no use for have to go first.</param>
public sealed record PagePlan(
    ImmutableArray<int> Counts,
    bool KeepsServing,
    ImmutableArray<Succession> Successions,
    ImmutableArray<int?> Homes,
    ImmutableArray<DeviceId> SharedOn,
    ImmutableArray<DeviceId> ShortOn)
{
    /// <summary>Sizes the pages and pairs the replicas.</summary>
    /// <exception cref="NoLayoutException">Not even alone does one full context fit.</exception>
    public static PagePlan Of(PlanningInputs inputs, Layout layout, CacheInheritance inherited)
    {
        var successions = SuccessionsOf(
            layout.Degrees.Replicas, inherited, [.. inputs.Caches.Select(cache => cache.Replica).Order()]);
        var homeOf = successions.Where(pair => pair.IsHome).ToDictionary(pair => pair.New, pair => pair.Old);
        ImmutableArray<int?> homes =
        [
            .. Enumerable.Range(0, layout.Degrees.Replicas).Select(replica =>
                homeOf.TryGetValue(replica, out var old) ? old : (int?)null),
        ];
        var room = new PageRoom(inputs, layout, homes);
        var (counts, keepsServing) = room.Choose();
        return keepsServing && inputs.Serving is not null && !successions.IsEmpty
            ? new PagePlan(counts, true, successions, homes, room.SharedOn(counts), [])
            : new PagePlan(
                counts, keepsServing, [], [.. homes.Select(_ => (int?)null)], [], room.ShortOn(counts, keepsServing));
    }

    /// <summary>Those that inherit requests, and one for each old replica that has none now: requests may come to it
    /// before it stops. A new replica has one home, an old one is the home of at most one.</summary>
    /// <param name="count">Of new replicas.</param>
    /// <param name="oldReplicas">Rising.</param>
    internal static ImmutableArray<Succession> SuccessionsOf(
        int count, CacheInheritance inherited, ImmutableArray<int> oldReplicas)
    {
        var pairs = inherited.Kept.OrderByDescending(kept => kept.PageTokens).ThenBy(kept => kept.OldReplica)
            .Select(kept => (Old: kept.OldReplica, New: kept.NewReplica))
            .ToList();
        var inherits = pairs.Select(pair => pair.Old).ToHashSet();
        var taken = pairs.Select(pair => pair.New).ToHashSet();
        var free = 0;
        foreach (var old in oldReplicas.Where(old => !inherits.Contains(old)))
        {
            while (free < count && taken.Contains(free)) free++;
            var heir = old < count && !taken.Contains(old) ? old : free < count ? free : old % count;
            taken.Add(heir);
            pairs.Add((old, heir));
        }

        var successions = new List<Succession>();
        var (isFollowed, hasHome) = (new HashSet<int>(), new HashSet<int>());
        foreach (var (old, @new) in pairs)
        {
            var isHome = !isFollowed.Contains(old) && !hasHome.Contains(@new);
            if (isHome)
            {
                isFollowed.Add(old);
                hasHome.Add(@new);
            }

            successions.Add(new Succession(old, @new, isHome));
        }

        return [.. successions.OrderBy(pair => pair.Old).ThenBy(pair => pair.IsHome ? 0 : 1).ThenBy(pair => pair.New)];
    }
}

/// <summary>An old replica hands requests to a new one.</summary>
/// <param name="IsHome">The new one keeps the old one's page ids.</param>
public sealed record Succession(int Old, int New, bool IsHome);
