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
    private readonly HashSet<WeightBlock> _leaving = [];
    private readonly List<Epoch> _preparing = [];
    private TaskCompletionSource _freed = new();
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

    /// <summary>Bytes of all that is complete and of what leaves, memory of several blocks once.</summary>
    public long BytesHeld
    {
        get
        {
            lock (_gate)
            {
                return _blocks.Values.Concat(_leaving).SelectMany(block => block.Memories).Distinct()
                    .Sum(memory => memory.Length);
            }
        }
    }

    /// <summary>What leaves and is still used, e.g. read by a peer: it takes memory, and nobody new gets it.</summary>
    internal ImmutableArray<WeightSlice> Leaving
    {
        get
        {
            lock (_gate) return [.. _leaving.Select(block => block.Key.Slice)];
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
    public async Task<WeightSet> PrepareAsync(
        IReadOnlyList<WeightSlice> need, ImmutableArray<WeightOrder> orders, Epoch epoch, ISliceFetcher fetcher,
        int blocksAtOnce, IProgress<LoadProgress>? progress, CancellationToken cancel, bool hasThreads = false)
    {
        var preparation = new WeightPreparation(this, need, orders, epoch, fetcher, progress);
        lock (_gate) _preparing.Add(epoch);
        try
        {
            return await preparation.RunAsync(blocksAtOnce, hasThreads, cancel).ConfigureAwait(false);
        }
        finally
        {
            lock (_gate) _preparing.Remove(epoch);
            TellFreed();
        }
    }

    /// <summary>Gives back blocks that nobody uses.</summary>
    public void Trim()
    {
        lock (_gate)
        {
            foreach (var block in _blocks.Values.Where(block => block.Users == 0).ToArray()) Leave(block);
        }
    }

    /// <summary>Gives back all blocks but those of some slices, and completes once their memory is free: what a peer
    /// reads, or a preparation that was cancelled still has, goes with its last user, and nobody new gets it. The limit
    /// of this wait is the caller's. Goes on on the thread of that last user.</summary>
    /// <param name="need">What stays.</param>
    /// <param name="keepsParts">Blocks with a part of a needed one stay, too: it can be copied from them.</param>
    /// <param name="epoch">That the memory is for; preparations of older ones are waited for.</param>
    public async Task FreeBesideAsync(
        IReadOnlyList<WeightSlice> need, bool keepsParts, Epoch epoch, CancellationToken cancel)
    {
        var keys = need.SelectMany(WeightKey.Of).ToHashSet();
        do
        {
            lock (_gate)
            {
                foreach (var block in _blocks.Values.Where(block => !Stays(block.Key)).ToArray()) Leave(block);
            }

            await LeavingGoneAsync(epoch, cancel).ConfigureAwait(false);
        }
        while (Held.SelectMany(WeightKey.Of).Any(held => !Stays(held)));   // an older preparation's, finished meanwhile

        bool Stays(WeightKey held) =>
            keys.Contains(held) || (keepsParts && keys.Any(key => !SharedPart(key, held).IsEmpty));
    }

    /// <summary>Completes once nothing is used any more that was given back, and no older epoch's weights are being
    /// prepared. Limit and thread as for <see cref="FreeBesideAsync"/>.</summary>
    public async Task LeavingGoneAsync(Epoch epoch, CancellationToken cancel)
    {
        while (true)
        {
            Task freed;
            lock (_gate)
            {
                if (_leaving.Count == 0 && _preparing.TrueForAll(other => other >= epoch)) return;
                freed = _freed.Task;
            }

            await freed.WaitAsync(cancel).ConfigureAwait(false);
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
                if (--block.Users > 0) continue;
                if (_leaving.Remove(block)) block.Free();
                else if (_disposed) Leave(block);
            }
        }

        TellFreed();
    }

    /// <summary>Nobody new gets a block; its memory goes now, or with its last user.</summary>
    private void Leave(WeightBlock block)
    {
        Invariant.Holds(_blocks.Remove(block.Key));
        if (block.Users == 0) block.Free();
        else _leaving.Add(block);
    }

    /// <summary>Those that wait look again. Outside the lock: they go on on this thread.</summary>
    private void TellFreed()
    {
        TaskCompletionSource freed;
        lock (_gate) (freed, _freed) = (_freed, new TaskCompletionSource());
        freed.SetResult();
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
