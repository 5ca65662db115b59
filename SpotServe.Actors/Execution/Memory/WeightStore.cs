using System.Collections.Immutable;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// The weights of one device: complete blocks, each a share of one layer. They outlive the engines that use them, and
/// are reused by reference where a new layout wants the same share, until <see cref="Trim"/>. Thread-safe. Blocks that
/// are still being filled belong to their preparation alone, so that two preparations never write to the same memory.
/// </summary>
public sealed class WeightStore(WeightShape shape, IWeightMemory memory) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<WeightKey, WeightBlock> _blocks = [];
    private bool _disposed;

    public WeightShape Shape => shape;

    internal IWeightMemory Memory => memory;

    /// <summary>Told of slices that came with other numbers than the model folder's and were not used.</summary>
    public Action<SliceRequest>? Foreign { get; init; }

    /// <summary>All that is complete, consecutive layers with equal shares as one slice. They may overlap.</summary>
    public ImmutableArray<WeightSlice> Held
    {
        get
        {
            WeightKey[] keys;
            lock (_gate) keys = [.. _blocks.Keys];
            return Merge(keys);
        }
    }

    /// <summary>Bytes of all that is complete, memory of several blocks once.</summary>
    public long BytesHeld
    {
        get
        {
            lock (_gate)
                return _blocks.Values.SelectMany(block => block.Memories).Distinct().Sum(memory => memory.Length);
        }
    }

    /// <summary>One layer's weights for reading; null when the blocks here do not hold all of it.</summary>
    /// <exception cref="ArgumentException">The slice is not of one layer.</exception>
    public ITransferBlock? Open(WeightSlice slice)
    {
        if (slice.Layers.Count != 1)
            throw new ArgumentException($"{slice} is not of one layer; open one at a time.", nameof(slice));
        var blocks = TakeOverlapping(new WeightKey(slice.Group, slice.Layers.First, slice.Share));
        // The block that holds all of it comes first: no need to put it together then.
        var ordered = blocks.OrderByDescending(block => block.Key.Share.Covers(slice.Share)).ToArray();
        var view = WeightViews.Of(shape, slice.Group, slice.Share, ordered, () => Return(blocks));
        if (view is null) Return(blocks);
        return view;
    }

    /// <summary>Makes all blocks of some slices from what is here and the model folder, on the caller's
    /// thread.</summary>
    /// <exception cref="ModelFormatException">The folder's tensors are not those of the configuration.</exception>
    public WeightSet Load(
        IReadOnlyList<WeightSlice> need, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        var preparation = new WeightPreparation(this, need, [], default, NoPeers.Instance, progress);
        return preparation.Load(cancel);
    }

    /// <summary>Makes all blocks of some slices: what is here is reused, orders are fetched, the rest is read from the
    /// folder. Blocks that were complete when it failed or was cancelled stay.</summary>
    /// <param name="epoch">That the weights are for; goes into the requests.</param>
    /// <param name="blocksAtOnce">Blocks that are worked on at the same time, at least 1. With 1 nothing leaves the
    /// thread of the caller and of the fetcher.</param>
    /// <exception cref="ModelFormatException">The folder's tensors are not those of the configuration.</exception>
    public Task<WeightSet> PrepareAsync(
        IReadOnlyList<WeightSlice> need, ImmutableArray<WeightOrder> orders, Epoch epoch, ISliceFetcher fetcher,
        int blocksAtOnce, IProgress<LoadProgress>? progress, CancellationToken cancel, bool hasThreads = false)
    {
        var preparation = new WeightPreparation(this, need, orders, epoch, fetcher, progress);
        return preparation.RunAsync(blocksAtOnce, hasThreads, cancel);
    }

    /// <summary>Gives back blocks that nobody uses.</summary>
    public void Trim()
    {
        lock (_gate)
        {
            foreach (var block in _blocks.Values.Where(block => block.Users == 0).ToArray()) Drop(block);
        }
    }

    /// <summary>Gives back blocks that nobody uses and that have nothing of these slices.</summary>
    public void TrimBeside(IReadOnlyList<WeightSlice> need)
    {
        var keys = need.SelectMany(WeightKey.Of).ToList();
        lock (_gate)
        {
            foreach (var block in _blocks.Values.Where(block => block.Users == 0).ToArray())
            {
                if (keys.TrueForAll(key => SharedPart(key, block.Key).IsEmpty)) Drop(block);
            }
        }
    }

    /// <summary>Gives back what nobody uses now, and the rest as soon as that is so.</summary>
    public void Dispose()
    {
        lock (_gate) _disposed = true;
        Trim();
    }

    /// <summary>A complete block, with the caller as a user; null when there is none of this key.</summary>
    internal WeightBlock? Take(WeightKey key)
    {
        lock (_gate)
        {
            if (!_blocks.TryGetValue(key, out var block)) return null;
            block.Users++;
            return block;
        }
    }

    /// <summary>The complete blocks with some of a key's share, the caller as a user of each. A tied front and back
    /// count as one group.</summary>
    internal ImmutableArray<WeightBlock> TakeOverlapping(WeightKey key)
    {
        lock (_gate)
        {
            ImmutableArray<WeightBlock> found =
                [.. _blocks.Values.Where(block => !SharedPart(key, block.Key).IsEmpty)];
            foreach (var block in found) block.Users++;
            return found;
        }
    }

    /// <summary>What a key and a block's have in common; of a tied pair of front and back, the evenly cut
    /// tensors.</summary>
    internal Share SharedPart(WeightKey wanted, WeightKey held)
    {
        if (wanted.Layer != held.Layer) return default;
        var common = wanted.Share.Intersect(held.Share);
        if (wanted.Group == held.Group) return common;
        var areEnds = wanted.Group != TensorGroup.Layers && held.Group != TensorGroup.Layers;
        return areEnds && shape.IsTied && common.First < common.End
            ? new Share(common.First, common.End, 0, 0, Replicated: false)
            : default;
    }

    /// <summary>Takes a filled block in, with the caller as a user. Another preparation may have been faster: then its
    /// block is the one, and the caller's goes.</summary>
    internal WeightBlock Publish(WeightBlock block)
    {
        lock (_gate)
        {
            if (_blocks.TryGetValue(block.Key, out var known))
            {
                block.Free();
                known.Users++;
                return known;
            }

            _blocks.Add(block.Key, block);
            block.Users++;
            return block;
        }
    }

    internal void Return(IEnumerable<WeightBlock> blocks)
    {
        lock (_gate)
        {
            foreach (var block in blocks)
            {
                Invariant.Holds(block.Users > 0);
                if (--block.Users == 0 && _disposed) Drop(block);
            }
        }
    }

    private void Drop(WeightBlock block)
    {
        Invariant.Holds(_blocks.Remove(block.Key));
        block.Free();
    }

    private static ImmutableArray<WeightSlice> Merge(WeightKey[] keys)
    {
        var merged = new List<WeightSlice>();
        foreach (var same in keys.GroupBy(key => (key.Group, key.Share)))
        {
            foreach (var layer in same.Select(key => key.Layer).Order())
            {
                if (merged.Count > 0 && merged[^1] is var last && last.Group == same.Key.Group
                    && last.Share == same.Key.Share && last.Layers.End == layer)
                {
                    merged[^1] = last with { Layers = new LayerRange(last.Layers.First, layer + 1) };
                }
                else
                {
                    merged.Add(new WeightSlice(same.Key.Group, new LayerRange(layer, layer + 1), same.Key.Share));
                }
            }
        }

        return [.. merged.OrderBy(slice => slice.Group).ThenBy(slice => slice.Layers.First)
            .ThenBy(slice => slice.Share.First)];
    }
}
