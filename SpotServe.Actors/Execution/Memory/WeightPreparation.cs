using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>Makes the blocks of one position, front layers first. Used once.</summary>
internal sealed class WeightPreparation
{
    private readonly WeightStore _store;
    private readonly ImmutableArray<WeightOrder> _orders;
    private readonly Epoch _epoch;
    private readonly ISliceFetcher _fetcher;
    private readonly WeightKey[][] _work;
    private readonly LoadCounter _counter;
    private readonly Lock _gate = new();
    private readonly List<WeightBlock> _ready = [];
    private int _next;
    private ExceptionDispatchInfo? _failure;

    public WeightPreparation(
        WeightStore store, IReadOnlyList<WeightSlice> need, ImmutableArray<WeightOrder> orders, Epoch epoch,
        ISliceFetcher fetcher, IProgress<LoadProgress>? progress)
    {
        _store = store;
        _orders = orders;
        _epoch = epoch;
        _fetcher = fetcher;
        var keys = need.SelectMany(WeightKey.Of).ToArray();
        _counter = new LoadCounter(TotalBytes(keys), progress);

        // A tied front and back go one after the other, so that the second finds the first one's memory.
        var areTied = store.Shape.IsTied;
        WeightKey[] ends = [.. keys.Where(key => key.Group != TensorGroup.Layers)];
        _work = areTied && ends.Length == 2
            ? [ends, .. keys.Except(ends).Select(key => new[] { key })]
            : [.. keys.OrderBy(key => key.Group).ThenBy(key => key.Layer).Select(key => new[] { key })];
    }

    /// <summary>Without orders, on the caller's thread.</summary>
    public WeightSet Load(CancellationToken cancel)
    {
        Invariant.Holds(_orders.Length == 0);
        try
        {
            foreach (var key in _work.SelectMany(keys => keys))
            {
                if (TakeReady(key)) continue;
                using var fill = new WeightFill(_store, key, _counter, isOrdered: false, cancel);
                _ready.Add(fill.Finish(cancel));
            }

            return Done();
        }
        catch
        {
            _store.Return(_ready);
            throw;
        }
    }

    /// <param name="hasThreads">Each worker has a thread of its own, so that several read at once; else reading holds
    /// up the other workers, which only wait for the network at the same time.</param>
    public async Task<WeightSet> RunAsync(int blocksAtOnce, bool hasThreads, CancellationToken cancel)
    {
        Invariant.Holds(blocksAtOnce >= 1);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        await Task.WhenAll(Enumerable.Range(0, blocksAtOnce).Select(_ => hasThreads ? OnThread(stop) : WorkAsync(stop)))
            .ConfigureAwait(false);
        if (_failure is null) return Done();
        _store.Return(_ready);
        _failure.Throw();
        throw new System.Diagnostics.UnreachableException();
    }

    private WeightSet Done()
    {
        _counter.Complete();
        return new WeightSet(_store, _ready);
    }

    private Task OnThread(CancellationTokenSource stop) => Task.Factory.StartNew(
        () => WorkAsync(stop), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();

    private async Task WorkAsync(CancellationTokenSource stop)
    {
        try
        {
            while (Interlocked.Increment(ref _next) is var taken && taken <= _work.Length)
            {
                foreach (var key in _work[taken - 1]) await MakeAsync(key, stop.Token).ConfigureAwait(false);
            }
        }
        catch (Exception error)
        {
            // The worker's edge: the first failure ends the others and is thrown to the caller.
            Fail(error, stop);
        }
    }

    // Not CancelAsync: it would go on in the thread pool.
    private void Fail(Exception error, CancellationTokenSource stop)
    {
        Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(error), null);
        stop.Cancel();
    }

    private async Task MakeAsync(WeightKey key, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        if (TakeReady(key)) return;
        var orders = _orders.Where(order => order.Slice.Group == key.Group && order.Slice.Layers.Contains(key.Layer))
            .ToArray();
        using var fill = new WeightFill(_store, key, _counter, isOrdered: orders.Length > 0, cancel);
        foreach (var order in orders)
        {
            foreach (var part in fill.MissingOf(order.Slice.Share))
            {
                var request = new SliceRequest(
                    _epoch, order.From, key.Slice with { Share = part }, Pages: null, Urgent: false);
                await fill.FetchAsync(request, _fetcher, cancel).ConfigureAwait(false);
            }
        }

        var block = fill.Finish(cancel);
        lock (_gate) _ready.Add(block);
    }

    private bool TakeReady(WeightKey key)
    {
        if (_store.Take(key) is not { } block) return false;
        lock (_gate) _ready.Add(block);
        _counter.AddReused(block.Bytes - TiedBytes(block));
        return true;
    }

    /// <summary>Bytes of a block whose memory another of this preparation has as well: they count once.</summary>
    private long TiedBytes(WeightBlock block)
    {
        if (block.Key.Group == TensorGroup.Layers) return 0;
        lock (_gate)
        {
            return _ready.Where(other => other != block).SelectMany(other => other.Memories)
                .Intersect(block.Memories).Sum(memory => memory.Length);
        }
    }

    private long TotalBytes(WeightKey[] keys)
    {
        var shape = _store.Shape;
        var total = keys.Sum(key => shape.Bytes(key.Group, key.Share));
        WeightKey[] ends = [.. keys.Where(key => key.Group != TensorGroup.Layers)];
        if (ends.Length < 2) return total;
        return total - shape.Bytes(ends[1].Group, _store.SharedPart(ends[1], ends[0]));
    }
}
