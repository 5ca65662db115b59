using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>KV pages that a position lacks of requests it goes on with.</summary>
/// <param name="Target">Index of the position.</param>
/// <param name="Holders">Indices of the holdings that have the whole slice, rising.</param>
internal sealed record CacheMove(InheritedCache Inherited, int Target, CacheSlice Slice, int[] Holders);

/// <summary>Works out which KV pages have to move.</summary>
internal static class CacheMoves
{
    public static List<CacheMove> Of(
        SliceGeometry geometry, Layout target, ImmutableArray<InheritedCache> kept, IReadOnlyList<Holding> holdings)
    {
        var byReplica = new Dictionary<int, List<(CacheSlice Slice, int Holder)>>();
        for (var i = 0; i < holdings.Count; i++)
        {
            foreach (var slice in holdings[i].Caches)
            {
                if (!byReplica.TryGetValue(slice.Replica, out var list)) byReplica[slice.Replica] = list = [];
                list.Add((slice, i));
            }
        }

        var indexOf = holdings.Select((holding, i) => (holding.Device, i)).ToDictionary(x => x.Device, x => x.i);
        var moves = new List<CacheMove>();
        var perReplica = target.Degrees.Stages * target.Degrees.Ranks;
        foreach (var inherited in kept)
        {
            if (!byReplica.TryGetValue(inherited.OldReplica, out var pieces)) continue;
            var first = inherited.NewReplica * perReplica;
            for (var position = first; position < first + perReplica; position++)
            {
                var self = indexOf.GetValueOrDefault(target.Placement[position], -1);
                var need = PositionNeed.Of(target, target.PositionAt(position));
                Add(moves, geometry, need, inherited, position, self, pieces);
            }
        }

        return moves;
    }

    private static void Add(
        List<CacheMove> moves,
        SliceGeometry geometry,
        PositionNeed need,
        InheritedCache inherited,
        int position,
        int self,
        List<(CacheSlice Slice, int Holder)> pieces)
    {
        var heads = TensorSlices.KvHeads(geometry.Model, need.Rank, need.Ranks);
        var layer = need.Layers.First;
        while (layer < need.Layers.End)
        {
            // Up to the next border of any piece the holders do not change.
            var end = need.Layers.End;
            var gaps = new ShareGaps(new Share(0, 0, (int)heads.First, (int)heads.End, false));
            foreach (var (slice, holder) in pieces)
            {
                if (slice.Layers.First > layer) end = Math.Min(end, slice.Layers.First);
                if (!slice.Layers.Contains(layer)) continue;
                end = Math.Min(end, slice.Layers.End);
                if (holder == self) gaps.Remove(new Share(0, 0, slice.KvFirst, slice.KvEnd, false));
            }

            foreach (var gap in gaps.Parts())
            {
                Cover(moves, inherited, position, new LayerRange(layer, end), gap.KvFirst, gap.KvEnd, pieces);
            }

            layer = end;
        }
    }

    /// <summary>Cuts a run of heads where its holders end, the longest piece first.</summary>
    private static void Cover(
        List<CacheMove> moves,
        InheritedCache inherited,
        int position,
        LayerRange layers,
        int kvFirst,
        int kvEnd,
        List<(CacheSlice Slice, int Holder)> pieces)
    {
        while (kvFirst < kvEnd)
        {
            var end = kvFirst;
            foreach (var (slice, _) in pieces)
            {
                if (slice.Layers.Contains(layers.First) && slice.KvFirst <= kvFirst) end = Math.Max(end, slice.KvEnd);
            }

            end = Math.Min(end, kvEnd);
            // The inheritance keeps only caches that are whole.
            Invariant.Holds(end > kvFirst);
            var holders = pieces
                .Where(p => p.Slice.Layers.Contains(layers.First) && p.Slice.KvFirst <= kvFirst && p.Slice.KvEnd >= end)
                .Select(p => p.Holder).Distinct().Order().ToArray();
            moves.Add(new CacheMove(
                inherited, position, new CacheSlice(inherited.OldReplica, layers, kvFirst, end), holders));
            kvFirst = end;
        }
    }
}
