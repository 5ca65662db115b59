using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// One block on its way to being complete: allocated, filled from this device's memory, from peers and from the model
/// folder, and then published. One owner, one call at a time; disposing it before it is finished frees the memory.
/// </summary>
internal sealed class WeightFill : IDisposable
{
    private readonly WeightStore _store;
    private readonly LoadCounter _counter;
    private readonly WeightBlock _block;
    private readonly ShareGaps _gaps;
    private readonly HashSet<TensorBytes> _whole = new(ReferenceEqualityComparer.Instance);
    private bool _finished;

    /// <summary>Allocates, and copies what this device has.</summary>
    /// <param name="isOrdered">Some of it is to come from a peer, so it is not read from the folder before
    /// that.</param>
    public WeightFill(
        WeightStore store, WeightKey key, LoadCounter counter, bool isOrdered, CancellationToken cancel)
    {
        _store = store;
        _counter = counter;
        _gaps = new ShareGaps(key.Share);
        var held = store.TakeOverlapping(key);
        try
        {
            _block = Allocate(key, held, mayMap: !isOrdered, cancel);
            // A peer's wire form has all of the axis: it must not be asked for then.
            if (_block.Tensors.Where(placed => WeightShape.IsEven(placed.Tensor)).All(placed => IsWhole(placed.Tensor)))
                _gaps.Remove(new Share(key.Share.First, key.Share.End, 0, 0, Replicated: false));
            foreach (var other in held) CopyFrom(other, cancel);
        }
        catch
        {
            Dispose();
            throw;
        }
        finally
        {
            store.Return(held);
        }
    }

    /// <summary>Parts of a share that are not filled yet.</summary>
    public ImmutableArray<Share> MissingOf(Share share) =>
        [.. _gaps.Parts().Select(gap => gap.Intersect(share)).Where(part => !part.IsEmpty).Select(Canonical)];

    /// <summary>Fills a missing part from a peer; when that fails, it stays missing.</summary>
    public async Task FetchAsync(SliceRequest request, ISliceFetcher fetcher, CancellationToken cancel)
    {
        var part = request.Weights!.Value.Share;
        using var into = OpenForWriting(part);
        try
        {
            await fetcher.FetchAsync(request, into, cancel).ConfigureAwait(false);
        }
        catch (SliceLostException)
        {
            // Expected when sources are preempted: another order or the folder fills it.
            return;
        }

        // Not this model's numbers: it stays missing, and the folder fills it.
        if (!Agrees(part, cancel))
        {
            _store.Foreign?.Invoke(request);
            return;
        }

        _gaps.Remove(part);
        _counter.AddFetched(into.Bytes);
    }

    private bool Agrees(Share part, CancellationToken cancel)
    {
        foreach (var tensor in _block.Tensors.Where(placed => !IsWhole(placed.Tensor)))
        {
            var rectangle = _store.Shape.RectangleOf(tensor.Tensor, part);
            if (rectangle.Elements == 0) continue;
            if (!_store.Memory.Agrees(tensor, _block.Key.Layer, rectangle, cancel)) return false;
        }

        return true;
    }

    /// <summary>Reads what is still missing from the folder, and publishes the block.</summary>
    /// <returns>The store's block of this key, with the caller as a user.</returns>
    public WeightBlock Finish(CancellationToken cancel)
    {
        foreach (var part in _gaps.Parts())
        {
            foreach (var tensor in _block.Tensors)
            {
                if (_whole.Contains(tensor.Memory)) continue;
                var rectangle = _store.Shape.RectangleOf(tensor.Tensor, part);
                if (rectangle.Elements == 0) continue;
                _store.Memory.Load(tensor, _block.Key.Layer, rectangle, _counter.AddRead, cancel);
            }
        }

        cancel.ThrowIfCancellationRequested();
        _finished = true;
        return _store.Publish(_block);
    }

    public void Dispose()
    {
        if (!_finished) _block?.Free();
        _finished = true;
    }

    private WeightBlock Allocate(
        WeightKey key, ImmutableArray<WeightBlock> held, bool mayMap, CancellationToken cancel)
    {
        var memories = new List<TensorBytes>();
        try
        {
            foreach (var stack in _store.Shape.Stacks(key.Group))
            {
                var memory = SharedWith(held, key, stack);
                if (memory is null && mayMap && (memory = _store.Memory.Map(stack, key, cancel)) is not null)
                    _counter.AddRead(memory.Length);
                if (memory is not null) _whole.Add(memory);
                memories.Add(memory ?? _store.Memory.Allocate(stack, key));
            }

            return new WeightBlock(_store.Shape, key, [.. memories]);
        }
        catch
        {
            foreach (var memory in memories) memory.Release();
            throw;
        }
    }

    /// <summary>The other end's memory of a tied tensor, when it has the same part.</summary>
    private TensorBytes? SharedWith(ImmutableArray<WeightBlock> held, WeightKey key, StackedTensors stack)
    {
        if (stack.Parts is not [var tensor]) return null;
        foreach (var block in held)
        {
            if (block.Key.Group == key.Group || block.Find([tensor.Name]) is not { } found) continue;
            var part = block.Tensors.First(placed => placed.Tensor.Name == tensor.Name).Part;
            if (part == _store.Shape.RectangleOf(tensor, key.Share)) return found.Memory.Share();
        }

        return null;
    }

    private void CopyFrom(WeightBlock other, CancellationToken cancel)
    {
        foreach (var part in MissingOf(_store.SharedPart(_block.Key, other.Key)))
        {
            using var from = WeightViews.Of(_store.Shape, _block.Key.Group, part, [other], without: IsWhole);
            using var into = OpenForWriting(part);
            Invariant.Holds(from is not null);
            BlockCopy.Run(from, into, cancel);
            _gaps.Remove(part);
            _counter.AddReused(into.Bytes);
        }
    }

    private RectangleView OpenForWriting(Share part)
    {
        var view = WeightViews.Of(_store.Shape, _block.Key.Group, part, [_block], without: IsWhole);
        Invariant.Holds(view is not null);
        return view;
    }

    /// <summary>Mapped, or shared with the other end: nothing may be written there.</summary>
    private bool IsWhole(TensorSpec tensor) =>
        _whole.Contains(_block.Tensors.First(placed => placed.Tensor.Name == tensor.Name).Memory);

    private static Share Canonical(Share part) => new(
        part.First < part.End ? part.First : 0,
        part.First < part.End ? part.End : 0,
        part.KvFirst < part.KvEnd ? part.KvFirst : 0,
        part.KvFirst < part.KvEnd ? part.KvEnd : 0,
        part.Replicated);
}
