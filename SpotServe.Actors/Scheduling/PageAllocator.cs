namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Who holds which KV page of a replica. Law: free + used = all, and a used page has exactly one owner. Page ids are
/// 0 to <see cref="PageCount"/> - 1, the same on all ranks of the replica. Not thread-safe.
/// </summary>
public sealed class PageAllocator
{
    /// <summary>Owner of a page that nobody holds.</summary>
    public const long Nobody = 0;

    // A stack: the page freed last is taken next, so that a lightly loaded replica touches few pages.
    private readonly int[] _free;
    private readonly long[] _owners;
    private int _freeCount;
    private int _usedCount;

    public PageAllocator(int pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pageCount, 1);
        _owners = new long[pageCount];
        _free = new int[pageCount];
        _freeCount = pageCount;
        for (var i = 0; i < pageCount; i++) _free[i] = pageCount - 1 - i;
    }

    public int PageCount => _owners.Length;

    public int FreeCount => _freeCount;

    public int UsedCount => _usedCount;

    public long OwnerOf(int page) => _owners[page];

    /// <summary>Appends <paramref name="count"/> pages to the table, or changes nothing when fewer are free.</summary>
    public bool TryTake(long owner, int count, List<int> pageTable)
    {
        Invariant.Holds(owner != Nobody);
        Invariant.Holds(count >= 0);
        if (count > _freeCount) return false;
        for (var i = 0; i < count; i++)
        {
            var page = _free[--_freeCount];
            Invariant.Holds(_owners[page] == Nobody, "a free page has no owner");
            _owners[page] = owner;
            pageTable.Add(page);
        }

        _usedCount += count;
        Invariant.Holds(_freeCount + _usedCount == PageCount, "free + used pages = all pages");
        return true;
    }

    /// <summary>Takes all pages back and empties the table.</summary>
    /// <returns>Pages freed.</returns>
    public int Release(long owner, List<int> pageTable)
    {
        Invariant.Holds(owner != Nobody);
        var count = pageTable.Count;
        for (var i = count - 1; i >= 0; i--)
        {
            var page = pageTable[i];
            Invariant.Holds(_owners[page] == owner, "a page is freed by its owner");
            _owners[page] = Nobody;
            _free[_freeCount++] = page;
        }

        pageTable.Clear();
        _usedCount -= count;
        Invariant.Holds(_freeCount + _usedCount == PageCount, "free + used pages = all pages");
        return count;
    }

    /// <summary>Checks every page: linear in <see cref="PageCount"/>.</summary>
    /// <exception cref="InvariantException">A page is lost, or both free and used.</exception>
    public void CheckLaws()
    {
        Invariant.Holds(_freeCount + _usedCount == PageCount, "free + used pages = all pages");
        var owned = 0;
        foreach (var owner in _owners)
        {
            if (owner != Nobody) owned++;
        }

        Invariant.Holds(owned == _usedCount, "used pages are those that have an owner");
        // Free entries are as many as ownerless pages; if all differ, they are exactly these.
        var seen = new System.Collections.BitArray(PageCount);
        for (var i = 0; i < _freeCount; i++)
        {
            Invariant.Holds(_owners[_free[i]] == Nobody, "a free page has no owner");
            Invariant.Holds(!seen[_free[i]], "a page is free once");
            seen[_free[i]] = true;
        }
    }
}
