using System.Numerics;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// A set of page ids that gives its lowest first: a bit for each page, and above it levels with a bit for each word
/// that is not empty. Every operation costs a step per level (3 for 262,144 pages) and allocates nothing.
/// </summary>
internal sealed class PageSet
{
    private const int WordBits = 64;

    // [0] has a bit for each page, the last level is a single word.
    private readonly ulong[][] _levels;

    /// <summary>All pages from 0 to <paramref name="pageCount"/> - 1.</summary>
    public PageSet(int pageCount)
    {
        List<ulong[]> levels = [];
        var count = pageCount;
        do
        {
            var words = (count + WordBits - 1) / WordBits;
            var level = new ulong[words];
            level.AsSpan().Fill(ulong.MaxValue);
            if (count % WordBits != 0) level[^1] = (1UL << (count % WordBits)) - 1;
            levels.Add(level);
            count = words;
        }
        while (count > 1);
        _levels = [.. levels];
        Count = pageCount;
    }

    public int Count { get; private set; }

    public bool Contains(int page) => (_levels[0][page / WordBits] & (1UL << (page % WordBits))) != 0;

    public void Add(int page)
    {
        Invariant.Holds(!Contains(page), "a page is free once");
        Count++;
        var index = page;
        foreach (var level in _levels)
        {
            ref var word = ref level[index / WordBits];
            var wasEmpty = word == 0;
            word |= 1UL << (index % WordBits);
            if (!wasEmpty) return;
            index /= WordBits;
        }
    }

    public void Remove(int page)
    {
        Invariant.Holds(Contains(page), "only a free page is taken");
        Count--;
        var index = page;
        foreach (var level in _levels)
        {
            ref var word = ref level[index / WordBits];
            word &= ~(1UL << (index % WordBits));
            if (word != 0) return;
            index /= WordBits;
        }
    }

    public int TakeLowest()
    {
        Invariant.Holds(Count > 0, "a page is free");
        var index = 0;
        for (var level = _levels.Length - 1; level >= 0; level--)
        {
            index = (index * WordBits) + BitOperations.TrailingZeroCount(_levels[level][index]);
        }

        Remove(index);
        return index;
    }
}
