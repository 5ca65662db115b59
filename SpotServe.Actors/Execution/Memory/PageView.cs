using System.Collections.Immutable;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// Pages of some layers and key/value heads as one run of bytes: [layers][pages][keys, values][heads][tokens x size].
/// A pool lies in memory as [pages][keys, values][the engine's heads][tokens x size].
/// </summary>
internal sealed class PageView : ITransferBlock
{
    private readonly ImmutableArray<TensorBytes> _pools;
    private readonly ImmutableArray<int> _pages;
    private readonly long _pageBytes;
    private readonly long _halfBytes;
    private readonly long _skippedBytes;
    private readonly long _runBytes;
    private readonly int _runsPerPage;
    private readonly bool _isWhole;
    private readonly Action _close;
    private int _closed;

    /// <param name="pools">Of each layer; the view becomes an owner of its own.</param>
    /// <param name="pageBytes">Of a page in the pool.</param>
    /// <param name="headBytes">Of one head's keys (or values) in a page.</param>
    /// <param name="halves">2: keys and values.</param>
    /// <param name="skippedHeads">Heads of the pool before the wanted ones.</param>
    /// <param name="close">Called once, when the view is disposed of and its pools are given back.</param>
    public PageView(
        IEnumerable<TensorBytes> pools, ImmutableArray<int> pages, long pageBytes, long headBytes, int halves,
        long skippedHeads, long heads, Action close)
    {
        _close = close;
        _pools = [.. pools.Select(pool => pool.Share())];
        _pages = pages;
        _pageBytes = pageBytes;
        _halfBytes = pageBytes / halves;
        _skippedBytes = skippedHeads * headBytes;
        // All of the pool's heads: a page is one run.
        _isWhole = heads * headBytes == _halfBytes;
        _runBytes = _isWhole ? pageBytes : heads * headBytes;
        _runsPerPage = _isWhole ? 1 : halves;
        Bytes = _pools.Length * (long)pages.Length * _runsPerPage * _runBytes;
    }

    public long Bytes { get; }

    public Span<byte> Direct(long offset)
    {
        if (offset == Bytes) return [];
        var run = RunAt(offset);
        return run.Width < RectangleView.DirectBytesMin ? [] : run.Memory.Direct(run.Offset, run.Width);
    }

    public void Read(long offset, Span<byte> into)
    {
        while (into.Length > 0)
        {
            var run = RunAt(offset);
            var count = (int)Math.Min(run.Width, into.Length);
            run.Memory.Read(run.Offset, into[..count]);
            into = into[count..];
            offset += count;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> from)
    {
        while (from.Length > 0)
        {
            var run = RunAt(offset);
            var count = (int)Math.Min(run.Width, from.Length);
            run.Memory.Write(run.Offset, from[..count]);
            from = from[count..];
            offset += count;
        }
    }

    public MemoryRun? MemoryAt(long offset) => RunAt(offset, asRows: true);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0) return;
        foreach (var pool in _pools) pool.Release();
        _close();
    }

    private MemoryRun RunAt(long offset, bool asRows = false)
    {
        if (offset < 0 || offset >= Bytes)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"The block has {Bytes} bytes.");
        var (run, inRun) = Math.DivRem(offset, _runBytes);
        var (pageIndex, half) = Math.DivRem(run, _runsPerPage);
        var (layer, page) = Math.DivRem(pageIndex, _pages.Length);
        var start = (_pages[(int)page] * _pageBytes) + (half * _halfBytes) + _skippedBytes;
        var pool = _pools[(int)layer];
        if (_isWhole)
            return MemoryRun.Together(pool, start + inRun, (PagesInARow((int)page) * _pageBytes) - inRun);
        // Keys and values of a part of the heads lie as rows, as far as pages follow one another.
        return asRows && inRun == 0
            ? new MemoryRun(pool, start, _runBytes, _halfBytes, (PagesInARow((int)page) * _runsPerPage) - half)
            : MemoryRun.Together(pool, start + inRun, _runBytes - inRun);
    }

    /// <summary>Pages from one of the list on that follow one another in memory.</summary>
    private int PagesInARow(int first)
    {
        var last = first;
        while (last + 1 < _pages.Length && _pages[last + 1] == _pages[last] + 1
            && (last + 2 - first) * _pageBytes <= int.MaxValue)
        {
            last++;
        }

        return last + 1 - first;
    }
}
