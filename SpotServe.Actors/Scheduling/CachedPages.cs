using System.Diagnostics.CodeAnalysis;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Which pages hold which part of a prompt, by key, and which of them nobody uses, the longest unused first. A page has
/// at most one key and a key one page. Every operation takes constant time and allocates nothing but the table's
/// growth. Not thread-safe.
/// </summary>
internal sealed class CachedPages
{
    private const int None = -1;

    private readonly Dictionary<PrefixKey, int> _pages = [];
    private readonly PrefixKey?[] _keys;

    // A ring through the pages that nobody uses, oldest first; the last entry is where it begins and ends.
    private readonly int[] _next;
    private readonly int[] _previous;

    public CachedPages(int pageCount)
    {
        _keys = new PrefixKey?[pageCount];
        _next = new int[pageCount + 1];
        _previous = new int[pageCount + 1];
        _next.AsSpan().Fill(None);
        _previous.AsSpan().Fill(None);
        _next[pageCount] = _previous[pageCount] = pageCount;
    }

    /// <summary>Pages that have a key.</summary>
    public int Count => _pages.Count;

    /// <summary>Those of them that nobody uses.</summary>
    public int IdleCount { get; private set; }

    private int End => _keys.Length;

    public bool TryFind(PrefixKey key, out int page) => _pages.TryGetValue(key, out page);

    public bool TryKeyOf(int page, [NotNullWhen(true)] out PrefixKey? key) => (key = _keys[page]) is not null;

    public bool IsIdle(int page) => _next[page] != None;

    /// <summary>Gives a page its key; it must have none, and no page the key.</summary>
    public void Add(int page, PrefixKey key)
    {
        Invariant.Holds(_keys[page] is null, "a page is cached once");
        _pages.Add(key, page);
        _keys[page] = key;
    }

    /// <summary>The last who used a cached page has given it back.</summary>
    public void OnIdle(int page)
    {
        Invariant.Holds(_keys[page] is not null && !IsIdle(page));
        var last = _previous[End];
        (_next[last], _previous[page], _next[page], _previous[End]) = (page, last, End, page);
        IdleCount++;
    }

    /// <summary>Somebody uses a page that nobody used.</summary>
    public void OnUsed(int page)
    {
        Invariant.Holds(IsIdle(page), "a cached page that nobody uses is taken up");
        _next[_previous[page]] = _next[page];
        _previous[_next[page]] = _previous[page];
        _next[page] = _previous[page] = None;
        IdleCount--;
    }

    /// <summary>Forgets the page that nobody has used for the longest time.</summary>
    public int EvictOldest()
    {
        Invariant.Holds(IdleCount > 0);
        var page = _next[End];
        Forget(page);
        return page;
    }

    /// <summary>Forgets a page that nobody uses.</summary>
    public void Forget(int page)
    {
        OnUsed(page);
        _pages.Remove(_keys[page]!.Value);
        _keys[page] = null;
    }

    /// <summary>Pages that nobody uses, the longest unused first.</summary>
    public IEnumerable<int> Idle()
    {
        for (var page = _next[End]; page != End; page = _next[page]) yield return page;
    }

    /// <exception cref="InvariantException">Keys, pages and the order of what is unused contradict each
    /// other.</exception>
    public void CheckLaws()
    {
        var keyed = 0;
        for (var page = 0; page < _keys.Length; page++)
        {
            if (_keys[page] is not { } key) continue;
            keyed++;
            Invariant.Holds(_pages.TryGetValue(key, out var known) && known == page, "a key has its page");
        }

        Invariant.Holds(keyed == _pages.Count, "every key is a page's");
        Invariant.Holds(Idle().Count() == IdleCount, "unused pages are in order");
    }
}
