using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Requests whose KV pages go from a replica of the old layout to one of the new.</summary>
public sealed record InheritedCache(int OldReplica, int NewReplica, ImmutableArray<CachedRequest> Requests)
{
    public long PageTokens => Requests.Sum(request => (long)request.PageTokens);
}

/// <summary>Who goes on with which requests after the change.</summary>
/// <param name="Dropped">Requests whose cache is given up: they go on from their tokens, computed anew.</param>
public sealed record CacheInheritance(
    ImmutableArray<InheritedCache> Kept, ImmutableArray<CachedRequest> Dropped)
{
    public static CacheInheritance None => new([], []);

    /// <summary>
    /// Gives each old replica's requests to one new replica, so that their pages can stay where they are. When the new
    /// layout has room for fewer sequences, those with the most decoded tokens are kept (the paper's rule). A replica
    /// whose cache is not whole any more (a device was lost) cannot be continued from: all its requests are dropped.
    /// </summary>
    /// <param name="caches">The old replicas' requests.</param>
    /// <param name="holdings">Where the pages are.</param>
    public static CacheInheritance Plan(
        SliceGeometry geometry,
        IReadOnlyCollection<ReplicaCache> caches,
        IReadOnlyCollection<Holding> holdings,
        LayoutDegrees target)
    {
        Inputs.Distinct(caches.Select(cache => cache.Replica), "replica");
        var whole = CacheSurvey.Whole(geometry, holdings);
        var dropped = ImmutableArray.CreateBuilder<CachedRequest>();
        dropped.AddRange(caches.Where(cache => !whole.Contains(cache.Replica)).SelectMany(cache => cache.Requests));

        var room = (long)target.Replicas * target.BatchSize;
        var ranked = caches.Where(cache => whole.Contains(cache.Replica))
            .SelectMany(cache => cache.Requests.Select(request => (cache.Replica, Request: request)))
            .OrderByDescending(entry => entry.Request.Decoded)
            .ThenByDescending(entry => entry.Request.Tokens)
            .ThenBy(entry => entry.Request.Id.Value, StringComparer.Ordinal)
            .ToList();
        dropped.AddRange(ranked.Skip((int)Math.Min(room, int.MaxValue)).Select(entry => entry.Request));
        var kept = ranked.Take((int)Math.Min(room, int.MaxValue))
            .GroupBy(entry => entry.Replica)
            .Select(group => (Replica: group.Key, Requests: group.Select(entry => entry.Request).ToList()))
            .ToList();
        return new CacheInheritance(Place(kept, target), dropped.ToImmutable());
    }

    private static ImmutableArray<InheritedCache> Place(
        List<(int Replica, List<CachedRequest> Requests)> kept, LayoutDegrees target)
    {
        var room = new int[target.Replicas];
        Array.Fill(room, target.BatchSize);
        var home = Homes(kept, target.Replicas);
        var placed = new List<InheritedCache>();
        var spilled = new List<(int Replica, CachedRequest Request)>();
        foreach (var (replica, requests) in kept)
        {
            var stay = home.TryGetValue(replica, out var there) ? Math.Min(requests.Count, target.BatchSize) : 0;
            if (stay > 0)
            {
                placed.Add(new InheritedCache(replica, there, [.. requests.Take(stay)]));
                room[there] -= stay;
            }

            spilled.AddRange(requests.Skip(stay).Select(request => (replica, request)));
        }

        // What has no home goes where the most room is left: it moves in any case.
        foreach (var group in spilled.Select(entry => (entry.Replica, entry.Request, To: TakeRoom(room)))
            .GroupBy(entry => (entry.Replica, entry.To)))
        {
            placed.Add(new InheritedCache(group.Key.Replica, group.Key.To, [.. group.Select(entry => entry.Request)]));
        }

        return [.. placed.OrderBy(cache => cache.NewReplica).ThenBy(cache => cache.OldReplica)];
    }

    /// <summary>Each old replica keeps its number where it can; the others get the numbers that are left.</summary>
    private static Dictionary<int, int> Homes(List<(int Replica, List<CachedRequest> Requests)> kept, int replicas)
    {
        var chosen = kept.OrderByDescending(k => k.Requests.Sum(request => (long)request.Tokens)).ThenBy(k => k.Replica)
            .Take(replicas)
            .Select(k => k.Replica)
            .Order()
            .ToList();
        var home = chosen.Where(replica => replica < replicas).ToDictionary(replica => replica, replica => replica);
        var free = new Queue<int>(Enumerable.Range(0, replicas).Where(replica => !home.ContainsKey(replica)));
        foreach (var replica in chosen.Where(replica => replica >= replicas)) home[replica] = free.Dequeue();
        return home;
    }

    private static int TakeRoom(int[] room)
    {
        var most = 0;
        for (var i = 1; i < room.Length; i++)
        {
            if (room[i] > room[most]) most = i;
        }

        Invariant.Holds(room[most] > 0);
        room[most]--;
        return most;
    }
}

/// <summary>Which replicas' caches are still there in full.</summary>
internal static class CacheSurvey
{
    /// <summary>Replicas of which every layer's every key/value head is on at least one device.</summary>
    public static IReadOnlySet<int> Whole(SliceGeometry geometry, IEnumerable<Holding> holdings)
    {
        var whole = new HashSet<int>();
        foreach (var pieces in holdings.SelectMany(holding => holding.Caches).GroupBy(cache => cache.Replica))
        {
            var sorted = pieces.Distinct().OrderBy(piece => piece.KvFirst).ToList();
            if (Covers(sorted, geometry.Model)) whole.Add(pieces.Key);
        }

        return whole;
    }

    private static bool Covers(List<CacheSlice> pieces, ModelSpec model)
    {
        var borders = pieces.SelectMany(piece => new[] { piece.Layers.First, piece.Layers.End }).Append(0)
            .Where(layer => layer < model.LayerCount)
            .Distinct();
        foreach (var layer in borders)
        {
            // Between two borders nothing changes, so the first layer of each run stands for the run.
            var heads = 0;
            foreach (var piece in pieces)
            {
                if (piece.Layers.Contains(layer) && piece.KvFirst <= heads) heads = Math.Max(heads, piece.KvEnd);
            }

            if (heads < model.KvHeadCount) return false;
        }

        return true;
    }
}
