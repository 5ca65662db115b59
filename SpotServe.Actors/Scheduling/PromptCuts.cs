namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Where a prompt is cut into the chunks that it is computed in: at multiples of the chunk's length, wherever the
/// prompt goes on from, so that its cache gets the same bits each time; and, where several requests are made of one
/// prompt, before the page that they do not share.
/// </summary>
/// <param name="Length">Most tokens of a chunk.</param>
/// <param name="Tail">A further cut; the prompt's length where there is none.</param>
internal readonly record struct PromptCuts(int Length, int Tail, int PromptCount)
{
    public static PromptCuts Of(GenerationSpec spec, int length)
    {
        var count = spec.Prompt.Length;
        // A page that is not full is nobody else's, and the last token is computed for its logits.
        var tail = spec.SharesPrompt ? (count - 1) / KvPage.Tokens * KvPage.Tokens : count;
        return new PromptCuts(length, tail, count);
    }

    /// <summary>End of the chunk that holds a position of the prompt.</summary>
    public int EndAfter(int position)
    {
        var end = Math.Min(PromptCount, position - (position % Length) + Length);
        return position < Tail && Tail < end ? Tail : end;
    }

    /// <summary>Start of the chunk that holds a position of the prompt.</summary>
    public int StartOf(int position)
    {
        var start = position - (position % Length);
        return Tail <= position && Tail > start ? Tail : start;
    }

    /// <summary>Keys of the prompt's full pages.</summary>
    public PrefixKey[] Keys(PrefixKey root, ReadOnlySpan<int> prompt)
    {
        var keys = new PrefixKey[prompt.Length / KvPage.Tokens];
        var key = root;
        for (var page = 0; page < keys.Length; page++)
        {
            var last = ((page + 1) * KvPage.Tokens) - 1;
            var tokens = prompt.Slice(page * KvPage.Tokens, KvPage.Tokens);
            keys[page] = key = key.Next(tokens, EndAfter(last) - StartOf(last));
        }

        return keys;
    }

    /// <summary>The next place after <paramref name="position"/> where a chunk and a page end together, at most
    /// <paramref name="max"/>; null when there is none.</summary>
    public int? NextShared(int position, int max)
    {
        for (var end = position; end < PromptCount;)
        {
            end = EndAfter(end);
            if (end > max) return null;
            if (end % KvPage.Tokens == 0) return end;
        }

        return null;
    }
}
