using System.Text;

namespace SpotServe.Seed.Templating;

/// <summary>What Python's methods do with a text.</summary>
internal static class TextMethods
{
    private static readonly System.Buffers.SearchValues<char> LineEnds =
        System.Buffers.SearchValues.Create("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");

    /// <param name="characters">Those to take away; null: white space.</param>
    public static string Strip(string text, string? characters, bool left, bool right)
    {
        var (begin, end) = (0, text.Length);
        while (left && begin < end && IsCut(text[begin])) begin++;
        while (right && end > begin && IsCut(text[end - 1])) end--;
        return text[begin..end];

        bool IsCut(char character) => characters?.Contains(character) ?? char.IsWhiteSpace(character);
    }

    /// <param name="separator">Null: runs of white space, and no empty parts.</param>
    /// <param name="splitsMax">Negative: no limit.</param>
    public static List<string> Split(string text, string? separator, long splitsMax, bool fromRight)
    {
        var parts = new List<string>();
        var rest = separator is null ? text.Trim() : text;
        if (separator is null && rest.Length == 0) return parts;
        while (splitsMax < 0 || parts.Count < splitsMax)
        {
            var (at, length) = separator is null ? Blank(rest, fromRight) : Find(rest, separator, fromRight);
            if (at < 0) break;
            parts.Add(fromRight ? rest[(at + length)..] : rest[..at]);
            rest = fromRight ? rest[..at] : rest[(at + length)..];
        }

        parts.Add(rest);
        if (fromRight) parts.Reverse();
        return parts;
    }

    public static List<string> SplitLines(string text, bool keepEnds)
    {
        var lines = new List<string>();
        for (var begin = 0; begin < text.Length;)
        {
            var end = text.AsSpan(begin).IndexOfAny(LineEnds);
            if (end < 0)
            {
                lines.Add(text[begin..]);
                break;
            }

            end += begin;
            var after = text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            lines.Add(text[begin..(keepEnds ? after : end)]);
            begin = after;
        }

        return lines;
    }

    public static string Title(string text)
    {
        var output = new StringBuilder(text.Length);
        var isInWord = false;
        foreach (var character in text)
        {
            output.Append(isInWord ? char.ToLowerInvariant(character) : char.ToUpperInvariant(character));
            isInWord = char.IsLetter(character);
        }

        return output.ToString();
    }

    public static string Capitalize(string text) =>
        text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..].ToLowerInvariant();

    /// <param name="count">How many at most; negative: all.</param>
    public static Value Replace(string text, string old, string replacement, long count, CallArguments arguments)
    {
        var output = new StringBuilder();
        var begin = 0;
        for (var done = 0L; count < 0 || done < count; done++)
        {
            var at = old.Length == 0
                ? (done == 0 ? 0 : begin < text.Length ? begin + 1 : -1)
                : text.IndexOf(old, begin, StringComparison.Ordinal);
            if (at < 0) break;
            arguments.Budget.Charge(at - begin + replacement.Length, arguments.Line);
            output.Append(text, begin, at - begin).Append(replacement);
            begin = at + old.Length;
        }

        return Value.Of(output.Append(text, begin, text.Length - begin).ToString());
    }

    public static Value Join(string separator, IReadOnlyList<Value> items, CallArguments arguments)
    {
        var output = new StringBuilder();
        for (var index = 0; index < items.Count; index++)
        {
            var text = ValueText.Print(items[index]);
            arguments.Budget.Charge(text.Length + separator.Length, arguments.Line);
            if (index > 0) output.Append(separator);
            output.Append(text);
        }

        return Value.Of(output.ToString());
    }

    public static long Count(string text, string part)
    {
        if (part.Length == 0) return text.Length + 1;
        var count = 0L;
        for (var at = text.IndexOf(part, StringComparison.Ordinal); at >= 0;
            at = text.IndexOf(part, at + part.Length, StringComparison.Ordinal))
        {
            count++;
        }

        return count;
    }

    public static Value FillZeros(string text, long width, CallArguments arguments)
    {
        arguments.Budget.Charge(Math.Max(0, width), arguments.Line);
        var hasSign = text.Length > 0 && text[0] is '-' or '+';
        return Value.Of(hasSign
            ? text[0] + text[1..].PadLeft((int)Math.Max(0, width - 1), '0')
            : text.PadLeft((int)Math.Max(0, width), '0'));
    }

    /// <summary>isdigit and its kin: true where the text is not empty and each character is of the kind.</summary>
    public static Value? IsOfKind(string name, string text)
    {
        if (name is "isupper" or "islower")
        {
            var (has, lacks) = name == "isupper"
                ? ((Func<Rune, bool>)Rune.IsUpper, (Func<Rune, bool>)Rune.IsLower)
                : (Rune.IsLower, Rune.IsUpper);
            return Value.Of(text.EnumerateRunes().Any(has) && !text.EnumerateRunes().Any(lacks));
        }

        Func<Rune, bool>? isOfKind = name switch
        {
            "isdigit" or "isnumeric" or "isdecimal" => Rune.IsDigit,
            "isalpha" => Rune.IsLetter,
            "isalnum" => Rune.IsLetterOrDigit,
            "isspace" => Rune.IsWhiteSpace,
            _ => null,
        };
        if (isOfKind is null) return null;
        return Value.Of(text.Length > 0 && text.EnumerateRunes().All(isOfKind));
    }

    private static (int At, int Length) Find(string text, string separator, bool fromRight) => (
        fromRight
            ? text.LastIndexOf(separator, StringComparison.Ordinal)
            : text.IndexOf(separator, StringComparison.Ordinal),
        separator.Length);

    /// <summary>The first or the last run of white space.</summary>
    private static (int At, int Length) Blank(string text, bool fromRight)
    {
        var at = -1;
        for (var index = 0; index < text.Length && at < 0; index++)
        {
            var place = fromRight ? text.Length - 1 - index : index;
            if (char.IsWhiteSpace(text[place])) at = place;
        }

        if (at < 0) return (-1, 0);
        var (begin, end) = (at, at + 1);
        while (begin > 0 && char.IsWhiteSpace(text[begin - 1])) begin--;
        while (end < text.Length && char.IsWhiteSpace(text[end])) end++;
        return (begin, end - begin);
    }
}
