using System.Buffers;
using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>A token that is found in the text before anything else happens to it.</summary>
/// <param name="Special">Left out of decoded text when special tokens are skipped.</param>
/// <param name="Normalized">Looked for, in its normalized form, in the normalized text instead of the raw one.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Special, bool Normalized, bool SingleWord, bool StripLeft, bool StripRight);

/// <summary>Finds the added tokens in a text: the leftmost, and of those that begin there the longest.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly SearchValues<string> _any;
    private readonly (string Content, AddedToken Token)[] _longestFirst;

    /// <param name="tokens">Each with the text to look for.</param>
    public AddedTokenMatcher(IEnumerable<(string Content, AddedToken Token)> tokens)
    {
        _longestFirst = [.. tokens.Where(t => t.Content.Length > 0).OrderByDescending(t => t.Content.Length)];
        _any = SearchValues.Create([.. _longestFirst.Select(t => t.Content)], StringComparison.Ordinal);
    }

    /// <summary>Calls back for each token and each stretch of text between them, in order; none is empty.</summary>
    public void Split(string text, Action<string> onText, Action<int> onToken)
    {
        if (_longestFirst.Length == 0)
        {
            if (text.Length > 0) onText(text);
            return;
        }

        var done = 0;
        for (var at = 0; at < text.Length;)
        {
            var offset = text.AsSpan(at).IndexOfAny(_any);
            if (offset < 0) break;
            var start = at + offset;
            var (content, token) = LongestAt(text, start);
            var end = start + content.Length;
            at = end;
            if (token.SingleWord && (EndsWithWord(text.AsSpan(0, start)) || StartsWithWord(text.AsSpan(end)))) continue;

            if (token.StripLeft) start = Math.Max(done, text.AsSpan(0, start).TrimEnd().Length);
            if (token.StripRight) end = text.Length - text.AsSpan(end).TrimStart().Length;
            if (start > done) onText(text[done..start]);
            onToken(token.Id);
            done = end;
            at = Math.Max(at, end);
        }

        if (done < text.Length) onText(text[done..]);
    }

    private (string Content, AddedToken Token) LongestAt(string text, int start)
    {
        foreach (var candidate in _longestFirst)
        {
            if (text.AsSpan(start).StartsWith(candidate.Content, StringComparison.Ordinal)) return candidate;
        }

        throw new System.Diagnostics.UnreachableException();
    }

    private static bool EndsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && IsWord(rune);

    private static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && IsWord(rune);

    private static bool IsWord(Rune rune) => Rune.IsLetterOrDigit(rune) || rune.Value == '_';
}
