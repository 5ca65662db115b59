using System.Text;
using System.Text.RegularExpressions;
using SpotServe.Seed.Tokenization.Patterns;

namespace SpotServe.Seed.Tokenization;

/// <summary>A match of a pattern in a text, in UTF-16 units; its length may be 0.</summary>
internal readonly record struct PatternMatch(int Start, int Length)
{
    public int End => Start + Length;
}

/// <summary>
/// A regular expression of a tokenizer. Code points that its sets do not tell apart are one letter of a small alphabet;
/// the text is written in that alphabet, matched by .NET, and the matches are taken back to the text. So a letter
/// beyond U+FFFF is one letter, and a set means what <see cref="PatternTranslator"/> read, not what .NET knows.
/// </summary>
internal sealed class RunePattern
{
    /// <summary>The usual patterns look ahead, which the engine without backtracking cannot; so they get a
    /// limit.</summary>
    public static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Letters without case, of which nothing else is known either.</summary>
    private const char FirstLetter = '\u4E00';

    private const int LettersMax = 20_000;

    private readonly Regex _regex;
    private readonly int[] _starts;
    private readonly char[] _letters;
    private readonly char[] _lettersOfBmp = new char[char.MaxValue + 1];

    /// <exception cref="ArgumentException">The pattern is malformed, or uses what is not supported.</exception>
    public RunePattern(string pattern)
    {
        var parts = PatternTranslator.Translate(pattern);
        CodeSet[] sets = [.. parts.Where(part => part.Set is not null).Select(part => part.Set!)];
        (_starts, _letters, var members) = Partition(sets);
        for (var i = 0; i < _starts.Length; i++)
        {
            var end = i + 1 < _starts.Length ? _starts[i + 1] : int.MaxValue;
            for (var code = _starts[i]; code <= char.MaxValue && code < end; code++) _lettersOfBmp[code] = _letters[i];
        }

        var text = new StringBuilder();
        var set = 0;
        foreach (var part in parts) text.Append(part.Set is null ? part.Text : ClassOf(members, set++));
        _regex = new Regex(text.ToString(), RegexOptions.CultureInvariant | RegexOptions.Compiled, MatchTimeout);
    }

    /// <summary>A pattern that matches this text.</summary>
    public static RunePattern Literal(string text) => new(string.Concat(
        text.Select(c => char.IsAscii(c) && !char.IsAsciiLetterOrDigit(c) && c >= ' ' ? "\\" + c : c.ToString())));

    /// <summary>The matches in order. An empty one is left out where another has just ended.</summary>
    /// <exception cref="TextTooComplexException">Matching took longer than <see cref="MatchTimeout"/>.</exception>
    public List<PatternMatch> Matches(string text)
    {
        var shadow = Shadow(text, out var starts);
        var matches = new List<PatternMatch>();
        var lastEnd = -1;
        try
        {
            foreach (var match in _regex.EnumerateMatches(shadow))
            {
                if (match.Length == 0 && match.Index == lastEnd) continue;
                lastEnd = match.Index + match.Length;
                matches.Add(starts is null
                    ? new PatternMatch(match.Index, match.Length)
                    : new PatternMatch(starts[match.Index], starts[lastEnd] - starts[match.Index]));
            }
        }
        catch (RegexMatchTimeoutException timeout)
        {
            throw new TextTooComplexException(MatchTimeout, timeout);
        }

        return matches;
    }

    /// <summary>The text with this in place of each match.</summary>
    /// <exception cref="TextTooComplexException">As for <see cref="Matches"/>.</exception>
    public string Replace(string text, string content)
    {
        var result = new StringBuilder(text.Length);
        var at = 0;
        foreach (var match in Matches(text))
        {
            result.Append(text, at, match.Start - at).Append(content);
            at = match.End;
        }

        return result.Append(text, at, text.Length - at).ToString();
    }

    /// <summary>One letter for each code point.</summary>
    /// <param name="starts">Where each begins in the text, and the text's end; null where each is one unit.</param>
    private string Shadow(string text, out int[]? starts)
    {
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            starts = null;
            return string.Create(text.Length, (text, _lettersOfBmp), static (letters, from) =>
            {
                for (var i = 0; i < letters.Length; i++) letters[i] = from._lettersOfBmp[from.text[i]];
            });
        }

        var shadow = new StringBuilder(text.Length);
        var at = 0;
        var places = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            places.Add(at);
            shadow.Append(rune.IsBmp ? _lettersOfBmp[rune.Value] : LetterOf(rune.Value));
            at += rune.Utf16SequenceLength;
        }

        places.Add(at);
        starts = [.. places];
        return shadow.ToString();
    }

    private char LetterOf(int code)
    {
        var at = Array.BinarySearch(_starts, code);
        return _letters[at >= 0 ? at : ~at - 1];
    }

    /// <summary>Cuts all code points into runs that no set cuts, and gives runs that are in the same sets one
    /// letter.</summary>
    /// <returns>Where runs begin, their letters, and for each set its letters.</returns>
    private static (int[] Starts, char[] Letters, SortedSet<char>[] Members) Partition(CodeSet[] sets)
    {
        var edges = new SortedSet<int> { 0 };
        foreach (var set in sets) edges.UnionWith(set.Edges.ToArray());
        edges.Remove(0x110000);
        int[] starts = [.. edges];
        var letters = new char[starts.Length];
        var letterOf = new Dictionary<string, char>(StringComparer.Ordinal);
        var members = sets.Select(_ => new SortedSet<char>()).ToArray();
        for (var i = 0; i < starts.Length; i++)
        {
            var signature = string.Concat(sets.Select(set => set.Contains(starts[i]) ? '1' : '0'));
            if (!letterOf.TryGetValue(signature, out var letter))
            {
                if (letterOf.Count == LettersMax) throw new ArgumentException("it tells too many characters apart");
                letter = (char)(FirstLetter + letterOf.Count);
                letterOf.Add(signature, letter);
                for (var set = 0; set < sets.Length; set++)
                {
                    if (signature[set] == '1') members[set].Add(letter);
                }
            }

            letters[i] = letter;
        }

        return (starts, letters, members);
    }

    private static string ClassOf(SortedSet<char>[] members, int set) => members[set].Count switch
    {
        0 => "(?!)",
        1 => members[set].Min.ToString(),
        _ => $"[{string.Concat(members[set])}]",
    };
}
