using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// A regular expression that sees Unicode characters where .NET's sees UTF-16 units: there both halves of a letter
/// beyond U+FFFF are "surrogates", no letters, and the text would be cut elsewhere than the model was trained with.
/// The text is matched as a shadow in which such a character is one of its category from below U+FFFF, and the
/// matches are taken back to the text.
/// </summary>
internal sealed class RunePattern
{
    /// <summary>The usual patterns look ahead, which the engine without backtracking cannot; so they get a
    /// limit.</summary>
    public static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(2);

    private static readonly char[] StandIns = FindStandIns();
    private readonly Regex _regex;

    /// <exception cref="ArgumentException">The pattern is no regular expression that .NET understands.</exception>
    public RunePattern(string pattern)
    {
        _regex = new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, MatchTimeout);
    }

    /// <summary>The matches as ranges of the text, in order, none empty.</summary>
    /// <exception cref="TextTooComplexException">Matching took longer than <see cref="MatchTimeout"/>.</exception>
    public List<Range> Matches(string text)
    {
        var starts = (int[]?)null;
        var shadow = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? text : Shadow(text, out starts);
        var matches = new List<Range>();
        try
        {
            foreach (var match in _regex.EnumerateMatches(shadow))
            {
                if (match.Length == 0) continue;
                var end = match.Index + match.Length;
                matches.Add(starts is null ? match.Index..end : starts[match.Index]..starts[end]);
            }
        }
        catch (RegexMatchTimeoutException timeout)
        {
            throw new TextTooComplexException(MatchTimeout, timeout);
        }

        return matches;
    }

    /// <summary>One char for each character; <paramref name="starts"/> is where each begins, and the text's
    /// end.</summary>
    private static string Shadow(string text, out int[] starts)
    {
        var shadow = new StringBuilder(text.Length);
        var at = 0;
        var places = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            places.Add(at);
            shadow.Append(rune.IsBmp ? (char)rune.Value : StandIns[(int)Rune.GetUnicodeCategory(rune)]);
            at += rune.Utf16SequenceLength;
        }

        places.Add(at);
        starts = [.. places];
        return shadow.ToString();
    }

    /// <summary>For each category its last character below U+FFFF: far from anything that a pattern names.</summary>
    private static char[] FindStandIns()
    {
        var standIns = new char[Enum.GetValues<UnicodeCategory>().Length];
        for (var code = 0; code <= char.MaxValue; code++)
            standIns[(int)CharUnicodeInfo.GetUnicodeCategory((char)code)] = (char)code;
        return standIns;
    }
}
