using System.Collections.Immutable;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Who holds which KV page of a replica. Law: free + used + set aside = all, and a used page has exactly one owner.
/// Page ids are 0 to <see cref="PageCount"/> - 1, the same on all ranks of the replica. The lowest free page is taken
/// first, so that a lightly loaded replica touches few pages and its ids fit a smaller pool later. Not thread-safe.
/// </summary>
public sealed class PageAllocator
{
    /// <summary>Owner of a free page.</summary>
    public const long Nobody = 0;

    /// <summary>Owner of a page that is kept for somebody who does not draw it from here.</summary>
    public const long Aside = -1;

    private readonly PageSet _free;
    private readonly long[] _owners;
    private int _usedCount;

    public PageAllocator(int pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pageCount, 1);
        _owners = new long[pageCount];
        _free = new PageSet(pageCount);
    }

    public int PageCount => _owners.Length;

    public int FreeCount => _free.Count;

    public int UsedCount => _usedCount;

    /// <summary>Pages set aside.</summary>
    public int AsideCount { get; private set; }

    public long OwnerOf(int page) => _owners[page];

    /// <summary>Appends <paramref name="count"/> pages to the table, or changes nothing when fewer are free.</summary>
    public bool TryTake(long owner, int count, List<int> pageTable)
    {
        Invariant.Holds(owner > Nobody);
        Invariant.Holds(count >= 0);
        if (count > _free.Count) return false;
        for (var i = 0; i < count; i++)
        {
            var page = _free.TakeLowest();
            Invariant.Holds(_owners[page] == Nobody, "a free page has no owner");
            _owners[page] = owner;
            pageTable.Add(page);
        }

        _usedCount += count;
        CheckCounts();
        return true;
    }

    /// <summary>Appends these very pages to the table. All of them must be free.</summary>
    public void Take(long owner, ReadOnlySpan<int> pages, List<int> pageTable)
    {
        Invariant.Holds(owner > Nobody);
        foreach (var page in pages)
        {
            _free.Remove(page);
            _owners[page] = owner;
            pageTable.Add(page);
        }

        _usedCount += pages.Length;
        CheckCounts();
    }

    /// <summary>Takes all pages back and empties the table.</summary>
    /// <returns>Pages freed.</returns>
    public int Release(long owner, List<int> pageTable)
    {
        Invariant.Holds(owner > Nobody);
        var count = pageTable.Count;
        foreach (var page in pageTable) Free(page, owner);
        pageTable.Clear();
        _usedCount -= count;
        CheckCounts();
        return count;
    }

    /// <summary>Sets free pages aside, the highest ones below <paramref name="end"/>: nobody gets them before
    /// <see cref="GiveBack"/>. Linear in <see cref="PageCount"/>.</summary>
    /// <returns>Their ids, ascending; fewer than <paramref name="countMax"/> when fewer are free.</returns>
    public ImmutableArray<int> SetAside(int countMax, int end)
    {
        List<int> pages = [];
        for (var page = Math.Min(end, PageCount) - 1; page >= 0 && pages.Count < countMax; page--)
        {
            if (_free.Contains(page)) pages.Add(page);
        }

        pages.Reverse();
        SetAside([.. pages]);
        return [.. pages];
    }

    /// <summary>Sets these very pages aside. All of them must be free.</summary>
    public void SetAside(ReadOnlySpan<int> pages)
    {
        foreach (var page in pages)
        {
            _free.Remove(page);
            _owners[page] = Aside;
        }

        AsideCount += pages.Length;
        CheckCounts();
    }

    /// <summary>Frees pages that were set aside.</summary>
    public void GiveBack(ReadOnlySpan<int> pages)
    {
        foreach (var page in pages) Free(page, Aside);
        AsideCount -= pages.Length;
        CheckCounts();
    }

    /// <summary>Checks every page: linear in <see cref="PageCount"/>.</summary>
    /// <exception cref="InvariantException">A page is lost, or both free and used.</exception>
    public void CheckLaws()
    {
        CheckCounts();
        var owned = 0;
        var aside = 0;
        for (var page = 0; page < _owners.Length; page++)
        {
            var owner = _owners[page];
            Invariant.Holds(_free.Contains(page) == (owner == Nobody), "a page is free or has an owner");
            if (owner > Nobody) owned++;
            else if (owner == Aside) aside++;
        }

        Invariant.Holds(owned == _usedCount, "used pages are those that have an owner");
        Invariant.Holds(aside == AsideCount, "pages set aside are counted");
    }

    private void Free(int page, long owner)
    {
        Invariant.Holds(_owners[page] == owner, "a page is freed by its owner");
        _owners[page] = Nobody;
        _free.Add(page);
    }

    private void CheckCounts() =>
        Invariant.Holds(_free.Count + _usedCount + AsideCount == PageCount, "free + used + aside pages = all pages");
}
