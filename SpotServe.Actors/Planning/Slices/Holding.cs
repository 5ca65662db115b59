using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>KV pages that a device has: one replica's requests, over some layers and key/value heads.</summary>
/// <param name="Replica">Index of the replica in the layout that wrote them.</param>
public readonly record struct CacheSlice(int Replica, LayerRange Layers, int KvFirst, int KvEnd)
{
    public override string ToString() => $"KV of replica {Replica}, layers {Layers}, kv heads {KvFirst}..{KvEnd}";
}

/// <summary>What a device really has in memory. The planner starts from these, never from what it believes it
/// did.</summary>
/// <param name="Weights">Rectangles of weights; they may overlap after a migration that was broken off.</param>
/// <param name="Caches">Rectangles of KV pages.</param>
public sealed record Holding(
    DeviceId Device, ImmutableArray<WeightSlice> Weights, ImmutableArray<CacheSlice> Caches)
{
    public static Holding Empty(DeviceId device) => new(device, [], []);

    /// <summary>What the device on a position holds when its layout serves.</summary>
    public static Holding Of(SliceGeometry geometry, Layout layout, Position position)
    {
        var need = PositionNeed.Of(layout, position);
        var heads = TensorSlices.KvHeads(geometry.Model, need.Rank, need.Ranks);
        return new Holding(
            layout.DeviceAt(position),
            [.. geometry.Need(need)],
            [new CacheSlice(position.Replica, need.Layers, (int)heads.First, (int)heads.End)]);
    }

    /// <summary>All holdings of a layout that serves, in the order of its positions.</summary>
    public static ImmutableArray<Holding> All(SliceGeometry geometry, Layout layout) =>
        [.. layout.Positions.Select(position => Of(geometry, layout, position))];
}

/// <summary>A request with keys and values in a replica's pages.</summary>
/// <param name="Tokens">Tokens in the cache, prompt included.</param>
/// <param name="Decoded">Of these, tokens that were generated: what would be lost if the cache were dropped.</param>
public sealed record CachedRequest(RequestId Id, int Tokens, int Decoded)
{
    /// <summary>Tokens of full pages: they never change, so they can move while decoding goes on.</summary>
    public int FullPageTokens => Tokens / KvPage.Tokens * KvPage.Tokens;

    /// <summary>Tokens that the pages have room for.</summary>
    public int PageTokens => KvPage.Count(Tokens) * KvPage.Tokens;
}

/// <summary>The requests whose KV pages one replica holds.</summary>
public sealed record ReplicaCache(int Replica, ImmutableArray<CachedRequest> Requests)
{
    public long PageTokens => Requests.Sum(request => (long)request.PageTokens);
}
