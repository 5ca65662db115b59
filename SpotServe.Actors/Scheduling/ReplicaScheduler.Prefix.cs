using System.Runtime.InteropServices;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Prompts that begin alike are computed once. A page of a prompt that is full is kept under the key of what it holds,
/// and a sequence takes kept pages into its table instead of computing them, up to the last place where a chunk and a
/// page end together: what it then computes has the bits that it has without a cache. The page that it writes next is
/// always its own, and its last token is always computed, for its logits.
/// </summary>
/// <remarks>
/// Who is about to compute a page says so by its key; others that want the same wait for it with their prefill, and
/// take the page once it is there. When that one is suspended, fails or ends first, the next of them computes it. They
/// cannot wait in a circle: who waits for a page has it later in its prompt than, or as early as, the one that it waits
/// for has its own next.
/// </remarks>
public sealed partial class ReplicaScheduler
{
    private readonly Dictionary<PrefixKey, Sequence> _computing = [];

    /// <summary>Tokens of requests that were looked for among kept pages, each request's when it first got
    /// pages.</summary>
    public long PrefixQueries { get; private set; }

    /// <summary>Tokens that were taken from kept pages instead of being computed.</summary>
    public long PrefixHits { get; private set; }

    /// <summary>Pages whose content is kept although nobody uses it.</summary>
    public int IdlePageCount => _pages.IdleCount;

    /// <summary>Another number each time that a page is taken for new content.</summary>
    internal long BirthOf(int page) => _pages.BirthOf(page);

    /// <summary>How many of a sequence's first pages are kept for others.</summary>
    internal int KeptPagesOf(Sequence sequence)
    {
        var kept = 0;
        foreach (var page in sequence.Pages)
        {
            if (!_pages.IsKept(page)) break;
            kept++;
        }

        return kept;
    }

    /// <summary>Takes kept pages in place of those that the sequence would compute next.</summary>
    private void Reuse(Sequence sequence)
    {
        if (sequence.NeedsScores) return;
        var max = Math.Min(sequence.Keys.Length * KvPage.Tokens, sequence.TokenCount - 1);
        while (sequence.Cuts.NextShared(sequence.CachedTokens, max) is { } end)
        {
            var first = sequence.CachedTokens / KvPage.Tokens;
            var keys = sequence.Keys.AsSpan()[first..(end / KvPage.Tokens)];
            foreach (var key in keys)
            {
                if (!_pages.TryFind(key, out _)) return;
            }

            for (var i = 0; i < keys.Length; i++) Share(sequence, first + i, keys[i]);
            var reused = end - sequence.CachedTokens;
            sequence.CachedTokens = end;
            sequence.CachedBefore = Math.Max(sequence.CachedBefore, end);
            PrefixHits += reused;
            if (sequence.Residence <= 1) sequence.ReusedTokens += reused;
        }
    }

    private void Share(Sequence sequence, int index, PrefixKey key)
    {
        var found = _pages.TryFind(key, out var page);
        Invariant.Holds(found);
        _pages.Share(page);
        if (index == sequence.PageList.Count)
        {
            sequence.PageList.Add(page);
            return;
        }

        var own = sequence.PageList[index];
        sequence.PageList[index] = page;
        _pages.Release(own);
    }

    /// <summary>Whether another one computes what this one wants next, so that it need not.</summary>
    private bool IsComputedByAnother(Sequence sequence)
    {
        if (_computing.Count == 0 || sequence.NeedsScores) return false;
        var max = Math.Min(sequence.Keys.Length * KvPage.Tokens, sequence.TokenCount - 1);
        if (sequence.Cuts.NextShared(sequence.CachedTokens, max) is not { } end) return false;
        return _computing.TryGetValue(sequence.Keys[(end / KvPage.Tokens) - 1], out var other)
            && other != sequence && IsComputing(other, end);
    }

    /// <summary>Whether one that said so still comes to compute its prompt up to a place.</summary>
    private static bool IsComputing(Sequence sequence, int end) =>
        sequence is { IsClaiming: true, Phase: SequencePhase.Prefill, ApartUntil: null } && sequence.CachedTokens < end;

    /// <summary>Says which pages this one is about to compute, unless others said so before.</summary>
    private void Claim(Sequence sequence)
    {
        if (sequence.IsClaiming || !sequence.KeepsPages) return;
        sequence.IsClaiming = true;
        for (var page = sequence.CachedTokens / KvPage.Tokens; page < sequence.Keys.Length; page++)
        {
            ref var owner = ref CollectionsMarshal.GetValueRefOrAddDefault(
                _computing, sequence.Keys[page], out _);
            if (owner is null || !IsComputing(owner, (page + 1) * KvPage.Tokens)) owner = sequence;
        }
    }

    private void Unclaim(Sequence sequence)
    {
        if (!sequence.IsClaiming) return;
        sequence.IsClaiming = false;
        foreach (var key in sequence.Keys)
        {
            if (_computing.TryGetValue(key, out var owner) && owner == sequence) _computing.Remove(key);
        }
    }

    /// <summary>Keeps the full pages of a chunk of the prompt that was computed, for all that begin alike.</summary>
    /// <param name="start">Where the chunk began; it ended at what is cached now.</param>
    private void Keep(Sequence sequence, int start)
    {
        if (!sequence.KeepsPages || start >= sequence.PromptCount) return;
        var end = sequence.CachedTokens;
        // Cut elsewhere for want of room, or apart from others: it, and all after it, has bits of its own.
        if (start != sequence.Cuts.StartOf(start) || end != sequence.Cuts.EndAfter(start))
        {
            sequence.KeepsPages = false;
            Unclaim(sequence);
            return;
        }

        var full = Math.Min(end / KvPage.Tokens, sequence.Keys.Length);
        for (var page = start / KvPage.Tokens; page < full; page++) Keep(sequence, page, sequence.Keys[page]);
        if (end == sequence.PromptCount) Unclaim(sequence);
    }

    private void Keep(Sequence sequence, int index, PrefixKey key)
    {
        // Two may have computed the same: one page of them is enough.
        if (_pages.TryFind(key, out var known)) Share(sequence, index, key);
        else _pages.Keep(sequence.PageList[index], key);
    }
}
