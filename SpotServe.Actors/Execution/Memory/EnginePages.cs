using System.Collections.Immutable;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>What an engine's pages look like.</summary>
/// <param name="Heads">Key/value heads, counted over the whole model.</param>
public sealed record PageShape(LayerRange Layers, AxisRange Heads, int PageCount)
{
    public static PageShape Of(ModelSpec model, StageAssignment assignment) => new(
        assignment.Layers,
        TensorSlices.KvHeads(model, assignment.Position.Rank, assignment.RankCount),
        assignment.PageCount);
}

/// <summary>An engine's KV pages: one pool for each of its layers, some perhaps shared with the engine of another
/// epoch. Disposed of by the engine.</summary>
public sealed class EnginePages : IDisposable
{
    private readonly ImmutableArray<TensorBytes> _pools;
    private readonly PageStore _store;
    private bool _disposed;

    internal EnginePages(PageStore store, Epoch epoch, PageShape shape, ImmutableArray<TensorBytes> pools)
    {
        Invariant.Holds(pools.Length == shape.Layers.Count);
        _store = store;
        Epoch = epoch;
        Shape = shape;
        _pools = pools;
    }

    public Epoch Epoch { get; }

    public PageShape Shape { get; }

    internal ImmutableArray<TensorBytes> Pools => _pools;

    public TensorBytes Pool(int layer)
    {
        Invariant.Holds(Shape.Layers.Contains(layer));
        return _pools[layer - Shape.Layers.First];
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _store.Remove(this);
    }
}

/// <summary>The KV pages of all engines on a device, by epoch. Thread-safe.</summary>
/// <param name="headBytes">Bytes of one head's keys (or values) in a page.</param>
/// <param name="halves">2 for keys and values.</param>
public sealed class PageStore(long headBytes, int halves = 2)
{
    private readonly Lock _gate = new();
    private readonly List<EnginePages> _engines = [];
    private readonly List<OpenRun> _open = [];
    private TaskCompletionSource _removed = new();

    /// <summary>Epochs of the engines that were added and not disposed.</summary>
    public ImmutableArray<Epoch> Epochs
    {
        get
        {
            lock (_gate) return [.. _engines.Select(engine => engine.Epoch)];
        }
    }

    /// <summary>Bytes of all pools, shared ones once.</summary>
    public long BytesHeld => Pools.Sum(pool => pool.Length);

    /// <summary>The pools of all engines and of runs that are open, shared ones once.</summary>
    internal ImmutableArray<TensorBytes> Pools
    {
        get
        {
            lock (_gate)
            {
                return
                [
                    .. _engines.SelectMany(engine => engine.Pools).Concat(_open.SelectMany(run => run.Pools))
                        .Distinct(),
                ];
            }
        }
    }

    /// <summary>Bytes of a page of one layer.</summary>
    public long PageBytes(PageShape shape) => shape.Heads.Count * headBytes * halves;

    /// <summary>Completes when no engine of an older epoch is left but the predecessor's, and nobody reads pages of
    /// others: they close, and what they have is not free before that. Goes on on the thread that the last one is
    /// disposed on. The limit of this wait is the caller's.</summary>
    /// <param name="predecessor">The older epoch that may stay; null for none.</param>
    public async Task OlderGoneAsync(Epoch epoch, Epoch? predecessor, CancellationToken cancel)
    {
        while (true)
        {
            Task removed;
            lock (_gate)
            {
                if (_engines.TrueForAll(engine => MayStay(engine.Epoch)) && _open.TrueForAll(run => MayStay(run.Epoch)))
                    return;
                removed = _removed.Task;
            }

            await removed.WaitAsync(cancel).ConfigureAwait(false);
        }

        bool MayStay(Epoch other) => other >= epoch || other == predecessor;
    }

    /// <summary>Makes an engine's pools.</summary>
    /// <param name="sharedWith">Epoch of the engine whose pools are taken over, for the layers that it has with the
    /// same heads and page count; null for none.</param>
    /// <param name="allocate">Makes a pool in which nothing was written.</param>
    /// <exception cref="InvalidOperationException">No engine of that epoch is on this device.</exception>
    public EnginePages Add(Epoch epoch, PageShape shape, Epoch? sharedWith, Func<TensorBytes> allocate)
    {
        var pools = new List<TensorBytes>(shape.Layers.Count);
        try
        {
            for (var layer = shape.Layers.First; layer < shape.Layers.End; layer++)
                pools.Add((sharedWith is { } other ? Shared(other, shape, layer) : null) ?? allocate());
            var pages = new EnginePages(this, epoch, shape, [.. pools]);
            lock (_gate) _engines.Add(pages);
            return pages;
        }
        catch
        {
            foreach (var pool in pools) pool.Release();
            throw;
        }
    }

    /// <summary>Opens pages for reading or writing; null when no engine of that epoch has all of them.</summary>
    /// <exception cref="ArgumentException">More pages than a run may have.</exception>
    public ITransferBlock? Open(PageRun run)
    {
        if (run.Pages.Length > PageRun.PagesMax)
        {
            throw new ArgumentException(
                $"A run of {run.Pages.Length} pages; the limit is {PageRun.PagesMax}. Ask in several runs.",
                nameof(run));
        }

        lock (_gate)
        {
            var engine = _engines.FindLast(pages => pages.Epoch == run.Epoch && Has(pages.Shape, run));
            if (engine is null) return null;
            var open = new OpenRun(
                run.Epoch, [.. Enumerable.Range(run.Layers.First, run.Layers.Count).Select(engine.Pool)]);
            _open.Add(open);
            return new PageView(
                open.Pools, run.Pages, PageBytes(engine.Shape), headBytes, halves,
                run.KvHeads.First - engine.Shape.Heads.First, run.KvHeads.Count, () => Closed(open));
        }
    }

    /// <summary>Takes an engine's pages out and gives their memory back.</summary>
    internal void Remove(EnginePages pages)
    {
        lock (_gate) _engines.Remove(pages);
        foreach (var pool in pages.Pools) pool.Release();
        TellRemoved();
    }

    private void Closed(OpenRun run)
    {
        lock (_gate) _open.Remove(run);
        TellRemoved();
    }

    /// <summary>Those that wait look again. Outside the lock: they go on on this thread.</summary>
    private void TellRemoved()
    {
        TaskCompletionSource removed;
        lock (_gate) (removed, _removed) = (_removed, new TaskCompletionSource());
        removed.SetResult();
    }

    private TensorBytes? Shared(Epoch epoch, PageShape shape, int layer)
    {
        lock (_gate)
        {
            // Their pages would be lost without a word, and the sequences that lie in them.
            if (!_engines.Exists(pages => pages.Epoch == epoch))
            {
                throw new InvalidOperationException(
                    $"No engine of epoch {epoch} is on this device, so its pages cannot be shared; plan again.");
            }

            return _engines.FindLast(pages => pages.Epoch == epoch && pages.Shape.Layers.Contains(layer)
                && pages.Shape.Heads == shape.Heads && pages.Shape.PageCount == shape.PageCount)?.Pool(layer).Share();
        }
    }

    private static bool Has(PageShape shape, PageRun run) =>
        run.Layers.First >= shape.Layers.First && run.Layers.End <= shape.Layers.End
        && run.KvHeads.First >= shape.Heads.First && run.KvHeads.End <= shape.Heads.End
        && run.Pages.All(page => page >= 0 && page < shape.PageCount);

    /// <summary>Pages that are being read or written: their memory stays until that is over.</summary>
    private sealed class OpenRun(Epoch epoch, ImmutableArray<TensorBytes> pools)
    {
        public Epoch Epoch => epoch;

        public ImmutableArray<TensorBytes> Pools => pools;
    }
}
