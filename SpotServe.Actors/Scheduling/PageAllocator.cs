using System.Collections.Immutable;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Who holds which KV page of a replica. Law: free + cached + used + set aside = all; a page is free, or cached with
/// nobody using it, or used by as many as have it in their tables, or set aside. Page ids are 0 to
/// <see cref="PageCount"/> - 1, the same on all ranks of the replica. The lowest free page is taken first, so that a
/// lightly loaded replica touches few pages and its ids fit a smaller pool later; when none is free, the page goes
/// whose content nobody has used for the longest time. Not thread-safe.
/// </summary>
internal sealed class PageAllocator
{
    private const int Aside = -1;

    private readonly PageSet _free;
    private readonly CachedPages _cached;

    // How many use each page; Aside for one that is kept for somebody who does not draw it from here.
    private readonly int[] _users;
    private readonly long[] _births;
    private long _lastBirth;

    public PageAllocator(int pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pageCount, 1);
        _users = new int[pageCount];
        _births = new long[pageCount];
        _free = new PageSet(pageCount);
        _cached = new CachedPages(pageCount);
    }

    public int PageCount => _users.Length;

    /// <summary>Pages that can be taken: those that are free, and cached ones that nobody uses.</summary>
    public int FreeCount => _free.Count + _cached.IdleCount;

    /// <summary>Pages whose content is kept although nobody uses it.</summary>
    public int IdleCount => _cached.IdleCount;

    /// <summary>Pages that somebody uses, each counted once.</summary>
    public int UsedCount { get; private set; }

    /// <summary>Pages set aside.</summary>
    public int AsideCount { get; private set; }

    /// <summary>How many have the page in their tables.</summary>
    public int UsersOf(int page) => Math.Max(0, _users[page]);

    /// <summary>Another number each time that a page is taken for new content: it names the content.</summary>
    public long BirthOf(int page) => _births[page];

    /// <summary>Appends <paramref name="count"/> pages to the table; changes nothing when fewer can be had.</summary>
    public bool TryTake(int count, List<int> pageTable)
    {
        Invariant.Holds(count >= 0);
        if (count > FreeCount) return false;
        for (var i = 0; i < count; i++)
        {
            var page = _free.Count > 0 ? _free.TakeLowest() : _cached.EvictOldest();
            Invariant.Holds(_users[page] == 0, "a page that is taken has no user");
            BeginUse(page);
            pageTable.Add(page);
        }

        CheckCounts();
        return true;
    }

    /// <summary>Appends these very pages to the table. Each must be free, or used already: then it is used by one
    /// more.</summary>
    public void Take(ReadOnlySpan<int> pages, List<int> pageTable)
    {
        foreach (var page in pages)
        {
            if (_users[page] > 0)
            {
                _users[page]++;
            }
            else
            {
                _free.Remove(page);
                BeginUse(page);
            }

            pageTable.Add(page);
        }

        CheckCounts();
    }

    /// <summary>The page that holds what the key names, when there is one.</summary>
    public bool TryFind(PrefixKey key, out int page) => _cached.TryFind(key, out page);

    /// <summary>Uses a cached page once more.</summary>
    public void Share(int page)
    {
        Invariant.Holds(_cached.TryKeyOf(page, out _), "only what is cached is shared");
        if (_users[page]++ > 0) return;
        _cached.OnUsed(page);
        UsedCount++;
    }

    /// <summary>From now on others find the page by what it holds. It must be full and in use, and never change
    /// again.</summary>
    public void Keep(int page, PrefixKey key)
    {
        Invariant.Holds(_users[page] > 0, "a page is kept by one who uses it");
        _cached.Add(page, key);
    }

    public bool IsKept(int page) => _cached.TryKeyOf(page, out _);

    /// <summary>Gives all pages back and empties the table.</summary>
    /// <returns>Pages that can be taken again.</returns>
    public int Release(List<int> pageTable)
    {
        var before = FreeCount;
        // Backwards, so that of a prompt that nobody uses the end is forgotten first: its start serves more prompts.
        for (var i = pageTable.Count - 1; i >= 0; i--) Release(pageTable[i]);
        pageTable.Clear();
        CheckCounts();
        return FreeCount - before;
    }

    /// <summary>Gives one page back.</summary>
    public void Release(int page)
    {
        Invariant.Holds(_users[page] > 0, "a page is given back as often as it was taken");
        if (--_users[page] > 0) return;
        UsedCount--;
        if (_cached.TryKeyOf(page, out _)) _cached.OnIdle(page);
        else _free.Add(page);
    }

    /// <summary>Sets pages aside, the highest ones below <paramref name="end"/>, free ones before cached ones: nobody
    /// gets them before <see cref="GiveBack"/>. Linear in <see cref="PageCount"/>.</summary>
    /// <returns>Their ids, ascending; fewer than <paramref name="countMax"/> when fewer can be had.</returns>
    public ImmutableArray<int> SetAside(int countMax, int end)
    {
        List<int> pages = [];
        for (var page = Math.Min(end, PageCount) - 1; page >= 0 && pages.Count < countMax; page--)
        {
            if (_free.Contains(page)) pages.Add(page);
        }

        foreach (var page in _cached.Idle().Where(page => page < end).Take(countMax - pages.Count).ToArray())
        {
            _cached.Forget(page);
            _free.Add(page);
            pages.Add(page);
        }

        pages.Sort();
        SetAside([.. pages]);
        return [.. pages];
    }

    /// <summary>Sets these very pages aside. All of them must be free.</summary>
    public void SetAside(ReadOnlySpan<int> pages)
    {
        foreach (var page in pages)
        {
            _free.Remove(page);
            _users[page] = Aside;
        }

        AsideCount += pages.Length;
        CheckCounts();
    }

    /// <summary>Frees pages that were set aside.</summary>
    public void GiveBack(ReadOnlySpan<int> pages)
    {
        foreach (var page in pages)
        {
            Invariant.Holds(_users[page] == Aside, "only a page that is set aside is given back");
            _users[page] = 0;
            _free.Add(page);
        }

        AsideCount -= pages.Length;
        CheckCounts();
    }

    /// <summary>Checks every page: linear in <see cref="PageCount"/>.</summary>
    /// <param name="tables">How many tables hold each page, [<see cref="PageCount"/>].</param>
    /// <exception cref="InvariantException">A page is lost, or in two states at once.</exception>
    public void CheckLaws(ReadOnlySpan<int> tables)
    {
        CheckCounts();
        _cached.CheckLaws();
        var (used, aside) = (0, 0);
        for (var page = 0; page < _users.Length; page++)
        {
            var users = _users[page];
            var states = (_free.Contains(page) ? 1 : 0) + (_cached.IsIdle(page) ? 1 : 0) + (users != 0 ? 1 : 0);
            Invariant.Holds(states == 1, "a page is free, cached, used or set aside");
            Invariant.Holds(UsersOf(page) == tables[page], "a page has as many users as tables hold it");
            if (users > 0) used++;
            else if (users == Aside) aside++;
        }

        Invariant.Holds(used == UsedCount, "used pages are counted");
        Invariant.Holds(aside == AsideCount, "pages set aside are counted");
    }

    private void BeginUse(int page)
    {
        _users[page] = 1;
        _births[page] = ++_lastBirth;
        UsedCount++;
    }

    private void CheckCounts() => Invariant.Holds(
        FreeCount + UsedCount + AsideCount == PageCount, "free + cached + used + aside pages = all pages");
}
