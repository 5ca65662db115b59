using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>A rectangle of KV pages to be copied from one device.</summary>
internal readonly record struct PageMove(DeviceId From, LayerRange Layers, AxisRange KvHeads);

/// <summary>Which pages a position of a new layout gets from where, in closed form from the two layouts.</summary>
internal static class PageMoves
{
    /// <summary>Layers whose pages stay where they are: the device had them in the home replica, over the same
    /// key/value heads. Empty when there are none.</summary>
    /// <param name="home">The old replica whose page ids the position's replica keeps.</param>
    public static LayerRange InPlace(ModelSpec model, IPlacement old, int home, IPlacement target, Position position)
    {
        var device = target.DeviceAt(position);
        foreach (var before in old.PositionsOf(home))
        {
            if (old.DeviceAt(before) != device) continue;
            var sameHeads = TensorSlices.KvHeads(model, before.Rank, old.Degrees.Ranks)
                == TensorSlices.KvHeads(model, position.Rank, target.Degrees.Ranks);
            return sameHeads ? old.LayersOf(before).Intersect(target.LayersOf(position)) : default;
        }

        return default;
    }

    /// <summary>
    /// What the position must copy of an old replica's pages: every layer and head once, from this very device where
    /// it has them.
    /// </summary>
    /// <param name="inPlace">Layers that need no copy.</param>
    public static ImmutableArray<PageMove> Of(
        ModelSpec model, IPlacement old, int oldReplica, IPlacement target, Position position, LayerRange inPlace)
    {
        var device = target.DeviceAt(position);
        var layers = target.LayersOf(position);
        var need = TensorSlices.KvHeads(model, position.Rank, target.Degrees.Ranks);
        var moves = ImmutableArray.CreateBuilder<PageMove>();
        for (var stage = 0; stage < old.Degrees.Stages; stage++)
        {
            var common = old.LayersOf(new Position(oldReplica, stage, 0)).Intersect(layers);
            foreach (var part in Without(common, inPlace))
            {
                foreach (var (from, heads) in Holders(model, old, new Position(oldReplica, stage, 0), need, device))
                {
                    moves.Add(new PageMove(from, part, heads));
                }
            }
        }

        return moves.ToImmutable();
    }

    private static IEnumerable<LayerRange> Without(LayerRange layers, LayerRange cut)
    {
        var common = layers.Intersect(cut);
        if (common.Count == 0)
        {
            if (layers.Count > 0) yield return layers;
            yield break;
        }

        if (layers.First < common.First) yield return new LayerRange(layers.First, common.First);
        if (common.End < layers.End) yield return new LayerRange(common.End, layers.End);
    }

    /// <summary>Ranks of a stage that together have the heads, each head once. Ranks overlap when M exceeds the
    /// key/value heads; this device's own part is taken first.</summary>
    private static List<(DeviceId From, AxisRange Heads)> Holders(
        ModelSpec model, IPlacement old, Position stage, AxisRange need, DeviceId self)
    {
        var holders = Enumerable.Range(0, old.Degrees.Ranks)
            .Select(rank => (
                Device: old.DeviceAt(stage with { Rank = rank }),
                Heads: TensorSlices.KvHeads(model, rank, old.Degrees.Ranks)))
            .ToList();
        var open = new List<AxisRange> { need };
        var chosen = new List<(DeviceId, AxisRange)>();
        foreach (var (device, heads) in holders.OrderBy(holder => holder.Device == self ? 0 : 1))
        {
            for (var i = open.Count - 1; i >= 0; i--)
            {
                var gap = open[i];
                var part = new AxisRange(Math.Max(gap.First, heads.First), Math.Min(gap.End, heads.End));
                if (part.Count <= 0) continue;
                chosen.Add((device, part));
                open.RemoveAt(i);
                if (gap.First < part.First) open.Add(new AxisRange(gap.First, part.First));
                if (part.End < gap.End) open.Add(new AxisRange(part.End, gap.End));
            }
        }

        Invariant.Holds(open.Count == 0, "the ranks of a stage have all heads between them");
        return chosen;
    }
}
