using System.Collections.Immutable;
using SpotServe.Actors.Execution;

namespace SpotServe.Tests.Scheduling;

/// <summary>
/// A model whose next token is a hash of all tokens before it, read back from pages through the page table. A wrong
/// table, an overwritten page or a slot that was never written gives another token than <see cref="Alone"/>.
/// </summary>
internal sealed class PagedModel(int pageCount, int vocabularySize = 97)
{
    private const int Unwritten = -1;

    private readonly int[] _slots = [.. Enumerable.Repeat(Unwritten, pageCount * KvPage.Tokens)];

    /// <summary>Runs a step: writes its tokens into the pages, then draws.</summary>
    public ImmutableArray<int> Run(StepPlan plan)
    {
        var drawn = ImmutableArray.CreateBuilder<int>(plan.SampleCount);
        foreach (var chunk in plan.Chunks)
        {
            var pages = plan.Pages.Slice(chunk.PageOffset, chunk.PageCount);
            var tokens = plan.Tokens.Slice(chunk.TokenOffset, chunk.Count);
            for (var i = 0; i < tokens.Length; i++) _slots[SlotOf(pages, chunk.Start + i)] = tokens[i];
            if (chunk.Samples == 0) continue;
            var end = chunk.Start + chunk.Count;
            var prefix = new int[end];
            for (var i = 0; i < end; i++) prefix[i] = _slots[SlotOf(pages, i)];
            drawn.Add(Next(prefix, chunk.Sampling, vocabularySize));
        }

        return drawn.MoveToImmutable();
    }

    /// <summary>What a step scores, behind its run: the log-probability of a token is a number of what its pages hold
    /// before it, and of the token.</summary>
    public ImmutableArray<TokenLogprobs> Scores(StepPlan plan)
    {
        var scores = ImmutableArray.CreateBuilder<TokenLogprobs>(plan.ScoredRows.Length);
        foreach (var scored in plan.ScoredRows)
        {
            var chunk = plan.Chunks[scored.Chunk];
            var pages = plan.Pages.Slice(chunk.PageOffset, chunk.PageCount);
            var prefix = new int[chunk.Start + scored.Row - chunk.TokenOffset + 1];
            for (var i = 0; i < prefix.Length; i++) prefix[i] = _slots[SlotOf(pages, i)];
            scores.Add(Score(prefix, scored.Target));
        }

        return scores.MoveToImmutable();
    }

    /// <summary>The score of a token after others.</summary>
    public static TokenLogprobs Score(ReadOnlySpan<int> prefix, int target) =>
        new(-Next(prefix, new SamplingParameters(0, 1, 0, (ulong)target), vocabularySize: 1 << 20), []) { Rank = 1 };

    /// <summary>Copies what a page of another replica holds now.</summary>
    public void CopyPage(PagedModel from, int page, int to) =>
        from._slots.AsSpan(page * KvPage.Tokens, KvPage.Tokens).CopyTo(_slots.AsSpan(to * KvPage.Tokens));

    /// <summary>What a request generates when nothing else runs.</summary>
    public static List<int> Alone(
        ReadOnlySpan<int> prompt,
        SamplingParameters sampling,
        int tokensMax,
        int contextMax,
        ImmutableArray<int> stopTokens,
        int vocabularySize = 97)
    {
        var tokens = prompt.ToArray().ToList();
        var end = Math.Min(prompt.Length + tokensMax, contextMax);
        while (tokens.Count < end)
        {
            var token = Next([.. tokens], sampling, vocabularySize);
            if (stopTokens.Contains(token)) break;
            tokens.Add(token);
        }

        return tokens[prompt.Length..];
    }

    private static int SlotOf(ReadOnlySpan<int> pages, int position) =>
        (pages[position / KvPage.Tokens] * KvPage.Tokens) + (position % KvPage.Tokens);

    private static int Next(ReadOnlySpan<int> prefix, SamplingParameters sampling, int vocabularySize)
    {
        // The position of the last fed token is the sampler's counter, as in the real sampler.
        var hash = 14695981039346656037UL ^ sampling.Seed ^ ((ulong)(prefix.Length - 1) << 32);
        foreach (var token in prefix) hash = (hash ^ (uint)token) * 1099511628211UL;
        return (int)((hash >> 20) % (ulong)vocabularySize);
    }
}
