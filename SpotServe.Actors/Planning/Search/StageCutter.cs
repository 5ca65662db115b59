using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Cuts the layers into stages: equal on equal devices, in proportion to speed on unequal ones, and never more than a
/// device's memory holds. Also says what a stage needs of a device.
/// </summary>
internal sealed class StageCutter(SliceGeometry geometry, SearchOptions options, Workload load)
{
    private readonly Dictionary<int, ImmutableArray<LayerRange>> _even = [];
    private readonly Dictionary<int, (long Layer, long Front, long Back, int Heads)> _perRank = [];

    /// <summary>
    /// Bytes that a device of a stage needs: its rank's weights, KV pages for B whole sequences, the migration buffer.
    /// </summary>
    public long NeedBytes(int layers, bool first, bool last, int ranks, int batch)
    {
        var (layer, front, back, heads) = PerRank(ranks);
        return (layers * (layer + KvLayerBytes(batch, heads)))
            + (first ? front : 0) + (last ? back : 0) + options.MigrationBufferBytes;
    }

    /// <summary>The layers of each stage, or null when the devices are too small for all of them.</summary>
    public ImmutableArray<LayerRange>? Cut(IReadOnlyList<DeviceKind> kinds, int ranks, int batch)
    {
        var model = geometry.Model;
        var stages = kinds.Count;
        if (stages > model.LayerCount) return null;
        var uniform = true;
        for (var p = 1; p < stages; p++) uniform &= ReferenceEquals(kinds[p], kinds[0]) || kinds[p] == kinds[0];
        if (uniform)
        {
            if (!_even.TryGetValue(stages, out var even))
            {
                _even[stages] = even = Layout.EvenStages(model.LayerCount, 1, stages);
            }

            if (Fits(even, kinds, ranks, batch)) return even;
        }

        var capacity = new int[stages];
        for (var p = 0; p < stages; p++)
        {
            capacity[p] = options.CheckMemory ? LayersThatFit(kinds[p], p, stages, ranks, batch) : model.LayerCount;
            if (capacity[p] < 1) return null;
        }

        if (capacity.Sum(c => (long)c) < model.LayerCount) return null;
        return Proportional(kinds, capacity);
    }

    /// <summary>Layer counts by largest remainder over the stages' speeds, bounded by what each can hold.</summary>
    private ImmutableArray<LayerRange> Proportional(IReadOnlyList<DeviceKind> kinds, int[] capacity)
    {
        var layers = geometry.Model.LayerCount;
        var speed = kinds.Select(kind => kind.WeightBytesPerSecond).ToArray();
        var counts = new int[kinds.Count];
        Array.Fill(counts, 1);
        for (var given = kinds.Count; given < layers; given++)
        {
            // The next layer goes where the stage stays fastest with it: greedy is optimal for the slowest stage's
            // time.
            var best = -1;
            for (var p = 0; p < counts.Length; p++)
            {
                if (counts[p] >= capacity[p]) continue;
                if (best < 0 || (counts[p] + 1) / speed[p] < (counts[best] + 1) / speed[best]) best = p;
            }

            Invariant.Holds(best >= 0);
            counts[best]++;
        }

        var first = 0;
        return [.. counts.Select(count => new LayerRange(first, first += count))];
    }

    private bool Fits(ImmutableArray<LayerRange> stages, IReadOnlyList<DeviceKind> kinds, int ranks, int batch)
    {
        if (!options.CheckMemory) return true;
        for (var p = 0; p < stages.Length; p++)
        {
            var need = NeedBytes(stages[p].Count, p == 0, p == stages.Length - 1, ranks, batch);
            if (need > kinds[p].MemoryBytes) return false;
        }

        return true;
    }

    private int LayersThatFit(DeviceKind kind, int stage, int stages, int ranks, int batch)
    {
        var fixedBytes = NeedBytes(0, stage == 0, stage == stages - 1, ranks, batch);
        var perLayer = NeedBytes(1, false, false, ranks, batch) - options.MigrationBufferBytes;
        return (int)Math.Min(geometry.Model.LayerCount, Math.Max(0, (kind.MemoryBytes - fixedBytes) / perLayer));
    }

    private long KvLayerBytes(int batch, int heads)
    {
        var pages = (long)batch * KvPage.Count(load.PromptTokens + load.OutputTokens);
        return pages * KvPage.Bytes(geometry.Model, heads);
    }

    /// <summary>The largest rank's bytes: with floor cuts and shared kv heads the ranks are not all alike.</summary>
    private (long Layer, long Front, long Back, int Heads) PerRank(int ranks)
    {
        if (_perRank.TryGetValue(ranks, out var known)) return known;
        var (layer, front, back, heads) = (0L, 0L, 0L, 0);
        for (var rank = 0; rank < ranks; rank++)
        {
            layer = Math.Max(layer, Bytes(TensorGroup.Layers, rank));
            front = Math.Max(front, Bytes(TensorGroup.Front, rank));
            back = Math.Max(back, Bytes(TensorGroup.Back, rank));
            heads = Math.Max(heads, (int)TensorSlices.KvHeads(geometry.Model, rank, ranks).Count);
        }

        return _perRank[ranks] = (layer, front, back, heads);

        long Bytes(TensorGroup group, int rank) => geometry.Bytes(group, geometry.ShareOf(group, rank, ranks));
    }
}
