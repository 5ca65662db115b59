namespace SpotServe.Actors.Planning;

/// <summary>
/// Sizes of a model's slices in closed form: what a position needs, what of it a holding has, in bytes, for weights and
/// KV pages alike. Immutable; cheap to share.
/// </summary>
public sealed class SliceGeometry
{
    private readonly Group _front;
    private readonly Group _layer;
    private readonly Group _back;

    public SliceGeometry(ModelSpec model)
    {
        Inputs.AtLeast(model.LayerCount, 1, "The model's layer count");
        Inputs.AtLeast(model.HeadCount, 1, "The model's head count");
        Inputs.AtLeast(model.KvHeadCount, 1, "The model's key/value head count");
        if (model.HeadCount % model.KvHeadCount != 0)
        {
            throw new PlanningInputException(
                "The model's key/value head count", model.KvHeadCount, $"a divisor of its {model.HeadCount} heads");
        }

        Model = model;
        _front = new Group(model, model.Front);
        _layer = new Group(model, model.Layer);
        _back = new Group(model, model.Back);
        WeightBytes = _front.AllBytes + _back.AllBytes + (_layer.AllBytes * model.LayerCount);
    }

    public ModelSpec Model { get; }

    /// <summary>Bytes of all weights, each counted once.</summary>
    public long WeightBytes { get; }

    /// <summary>Bytes of one layer's weights.</summary>
    public long LayerBytes => _layer.AllBytes;

    public long BackBytes => _back.AllBytes;

    /// <summary>Bytes of one token's keys and values in one layer and one key/value head.</summary>
    public long KvBytesPerTokenLayerHead => KvPage.Bytes(Model, 1) / KvPage.Tokens;

    /// <summary>Checks that M cuts the model: it divides the heads and <see cref="Share.Unit"/>.</summary>
    /// <exception cref="RankCountException">It does not.</exception>
    public void RequireRanks(int ranks)
    {
        if (ranks < 1 || Model.HeadCount % ranks != 0 || Share.Unit % ranks != 0)
        {
            throw new RankCountException(ranks, Model.HeadCount);
        }
    }

    /// <summary>The share of a group's tensors that a rank holds; axes that the group lacks are empty.</summary>
    public Share ShareOf(TensorGroup group, int rank, int ranks)
    {
        var shapes = GroupOf(group);
        var heads = TensorSlices.KvHeads(Model, rank, ranks);
        var part = Share.Unit / ranks;
        return new Share(
            shapes.HasEven ? part * rank : 0,
            shapes.HasEven ? part * (rank + 1) : 0,
            shapes.KvHeadBytes > 0 ? (int)heads.First : 0,
            shapes.KvHeadBytes > 0 ? (int)heads.End : 0,
            shapes.ReplicatedBytes > 0);
    }

    /// <summary>The elements of one tensor that belong to a share: what an executor reads, sends and writes.</summary>
    /// <returns>The axis that is cut and the range on it; axis -1 and all or nothing for a tensor that is
    /// not.</returns>
    public (int Axis, AxisRange Range) RangeOf(TensorSpec tensor, Share share)
    {
        var axis = tensor.Split switch
        {
            TensorSplit.Replicated => -1,
            TensorSplit.Input => 1,
            TensorSplit.Output or TensorSplit.Vocabulary or TensorSplit.KvHeads => 0,
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        if (axis < 0) return (axis, new AxisRange(0, share.Replicated ? tensor.Shape[0] : 0));
        var size = tensor.Shape[axis];
        return (axis, tensor.Split == TensorSplit.KvHeads
            ? new AxisRange(size / Model.KvHeadCount * share.KvFirst, size / Model.KvHeadCount * share.KvEnd)
            : new AxisRange(size * share.First / Share.Unit, size * share.End / Share.Unit));
    }

    /// <summary>The whole of a group, as one share.</summary>
    public Share WholeShare(TensorGroup group) => ShareOf(group, 0, 1);

    /// <summary>Bytes of a share of one layer (or of the front or back).</summary>
    public long Bytes(TensorGroup group, Share share) => GroupOf(group).Bytes(share);

    public long Bytes(WeightSlice slice) => slice.Layers.Count * Bytes(slice.Group, slice.Share);

    /// <summary>Bytes of a set of tokens' keys and values over some layers and heads.</summary>
    public long KvBytes(long tokens, int layers, int heads) => tokens * layers * heads * KvBytesPerTokenLayerHead;

    /// <summary>What a position needs: its layers, the front on the first stage, the back on the last one.</summary>
    public IEnumerable<WeightSlice> Need(PositionNeed need)
    {
        if (need.IsFirst) yield return Whole(TensorGroup.Front, need);
        yield return new WeightSlice(
            TensorGroup.Layers, need.Layers, ShareOf(TensorGroup.Layers, need.Rank, need.Ranks));
        if (need.IsLast) yield return Whole(TensorGroup.Back, need);
    }

    /// <summary>Bytes of weights that a position needs.</summary>
    public long NeedBytes(PositionNeed need) => Need(need).Sum(Bytes);

    /// <summary>Bytes of a position's weights that a device has already: the mapper's edge weight without KV.</summary>
    /// <param name="held">May overlap (a migration that was broken off leaves such holdings); counted once.</param>
    public long ReuseBytes(PositionNeed need, IReadOnlyList<WeightSlice> held)
    {
        var reused = 0L;
        foreach (var slice in Need(need)) reused += HeldBytes(slice, held);
        return reused;
    }

    private WeightSlice Whole(TensorGroup group, PositionNeed need) =>
        new(group, new LayerRange(0, 1), ShareOf(group, need.Rank, need.Ranks));

    private long HeldBytes(WeightSlice need, IReadOnlyList<WeightSlice> held)
    {
        var bytes = 0L;
        var first = need.Layers.First;
        while (first < need.Layers.End)
        {
            // Between two borders of held rectangles the held shares do not change: one computation for the run.
            var end = need.Layers.End;
            var count = 0;
            var single = default(Share);
            for (var i = 0; i < held.Count; i++)
            {
                var piece = held[i];
                if (piece.Group != need.Group) continue;
                if (piece.Layers.Contains(first))
                {
                    end = Math.Min(end, piece.Layers.End);
                    single = piece.Share;
                    count++;
                }
                else if (piece.Layers.First > first)
                {
                    end = Math.Min(end, piece.Layers.First);
                }
            }

            bytes += count switch
            {
                0 => 0,
                1 => (end - first) * Bytes(need.Group, need.Share.Intersect(single)),
                _ => (end - first) * UnionBytes(need, held, first),
            };
            first = end;
        }

        return bytes;
    }

    private long UnionBytes(WeightSlice need, IReadOnlyList<WeightSlice> held, int layer)
    {
        var missing = new ShareGaps(need.Share);
        foreach (var piece in held)
        {
            if (piece.Group == need.Group && piece.Layers.Contains(layer)) missing.Remove(piece.Share);
        }

        return Bytes(need.Group, need.Share) - missing.Parts().Sum(part => Bytes(need.Group, part));
    }

    private Group GroupOf(TensorGroup group) => group switch
    {
        TensorGroup.Front => _front,
        TensorGroup.Layers => _layer,
        TensorGroup.Back => _back,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>One tensor list's sizes: even tensors as (length of the cut axis, bytes per index), the rest
    /// summed.</summary>
    private sealed class Group
    {
        private readonly (long Size, long IndexBytes)[] _even;

        public Group(ModelSpec model, IEnumerable<TensorSpec> tensors)
        {
            var even = new List<(long, long)>();
            foreach (var tensor in tensors)
            {
                var bytes = tensor.ElementCount * model.WeightType.Bytes();
                switch (tensor.Split)
                {
                    case TensorSplit.Replicated:
                        ReplicatedBytes += bytes;
                        break;
                    case TensorSplit.KvHeads:
                        KvHeadBytes += bytes / model.KvHeadCount;
                        break;
                    case TensorSplit.Input:
                        even.Add((tensor.Shape[1], bytes / tensor.Shape[1]));
                        break;
                    case TensorSplit.Output or TensorSplit.Vocabulary:
                        even.Add((tensor.Shape[0], bytes / tensor.Shape[0]));
                        break;
                    default:
                        throw new System.Diagnostics.UnreachableException();
                }
            }

            // Tensors of one cut length are cut alike: gate and up, or the biases beside their matrices.
            _even = [.. even.GroupBy(t => t.Item1).Select(same => (same.Key, same.Sum(t => t.Item2)))];
            AllBytes = ReplicatedBytes + (KvHeadBytes * model.KvHeadCount) + _even.Sum(t => t.Size * t.IndexBytes);
        }

        public bool HasEven => _even.Length > 0;

        public long KvHeadBytes { get; }

        public long ReplicatedBytes { get; }

        public long AllBytes { get; }

        public long Bytes(Share share)
        {
            var bytes = share.Replicated ? ReplicatedBytes : 0;
            if (share.KvEnd > share.KvFirst) bytes += (share.KvEnd - share.KvFirst) * KvHeadBytes;
            if (share.End <= share.First) return bytes;
            foreach (var (size, indexBytes) in _even)
            {
                bytes += ((size * share.End / Share.Unit) - (size * share.First / Share.Unit)) * indexBytes;
            }

            return bytes;
        }
    }
}

/// <summary>What decides a position's weights: its layers, its rank of M, and whether it is at an end of the
/// pipeline.</summary>
public readonly record struct PositionNeed(LayerRange Layers, int Rank, int Ranks, bool IsFirst, bool IsLast)
{
    public static PositionNeed Of(Layout layout, Position position) => new(
        layout.LayersOf(position),
        position.Rank,
        layout.Degrees.Ranks,
        position.Stage == 0,
        position.Stage == layout.Degrees.Stages - 1);
}
