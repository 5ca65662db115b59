using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Tokenization.Patterns;

/// <summary>Reads what stands for one character in a pattern of Oniguruma's syntax: classes, escapes,
/// properties.</summary>
internal sealed class ClassReader(string pattern)
{
    private const int DepthMax = 32;

    /// <summary>The next character of the pattern that is not read.</summary>
    public int At { get; set; }

    public bool AtEnd => At >= pattern.Length;

    public char Peek(int ahead = 0) => At + ahead < pattern.Length ? pattern[At + ahead] : '\0';

    public bool Skip(string text)
    {
        if (!pattern.AsSpan(At).StartsWith(text, StringComparison.Ordinal)) return false;
        At += text.Length;
        return true;
    }

    public ArgumentException Bad(string what) => new($"{what} at character {At} is not supported");

    /// <summary>One code point that stands for itself.</summary>
    public int Literal()
    {
        var rune = Rune.GetRuneAt(pattern, At);
        At += rune.Utf16SequenceLength;
        return rune.Value;
    }

    /// <summary>A class behind its "[".</summary>
    public CodeSet Class(bool ignoresCase, int depth = 0)
    {
        if (depth > DepthMax) throw Bad($"a class in {DepthMax} others");
        var isNot = Skip("^");
        var (whole, part) = ((CodeSet?)null, CodeSet.Empty);
        for (var isFirst = true; isFirst || Peek() != ']'; isFirst = false)
        {
            if (AtEnd) throw Bad("a class without end");
            if (Skip("&&"))
            {
                whole = whole?.And(part) ?? part;
                part = CodeSet.Empty;
            }
            else
            {
                part = part.Or(Item(ignoresCase, depth));
            }
        }

        At++;
        var set = whole?.And(part) ?? part;
        if (ignoresCase) set = CodeProperties.IgnoringCase(set);
        return isNot ? set.Not() : set;
    }

    /// <summary>The set that an escape behind its "\" stands for; null when it is one code point, which
    /// <see cref="Code"/> reads.</summary>
    public CodeSet? Escape()
    {
        CodeSet? set = Peek() switch
        {
            'd' => CodeProperties.Digit,
            'D' => CodeProperties.Digit.Not(),
            'w' => CodeProperties.Word,
            'W' => CodeProperties.Word.Not(),
            's' => CodeProperties.White,
            'S' => CodeProperties.White.Not(),
            'h' => CodeProperties.Find("xdigit"),
            'H' => CodeProperties.Find("xdigit")!.Not(),
            _ => null,
        };
        if (set is not null) At++;
        else if (Peek() is 'p' or 'P') set = Property();
        return set;
    }

    /// <summary>The code point that an escape behind its "\" stands for.</summary>
    public int Code()
    {
        if (AtEnd) throw Bad("a \\ at the end");
        switch (Peek())
        {
            case 'x' when Peek(1) == '{':
                var end = pattern.IndexOf('}', At);
                if (end < 0) throw Bad("\\x{ without }");
                return Hex(At + 2, end, end + 1);
            case 'x':
                return Hex(At + 1, Math.Min(At + 3, pattern.Length), At + 3);
            case 'u':
                return Hex(At + 1, Math.Min(At + 5, pattern.Length), At + 5);
            case '0':
                return Control(0);
            case 't':
                return Control('\t');
            case 'n':
                return Control('\n');
            case 'r':
                return Control('\r');
            case 'f':
                return Control('\f');
            case 'v':
                return Control('\v');
            case 'a':
                return Control('\a');
            case 'e':
                return Control(27);
            default:
                return char.IsAsciiLetterOrDigit(Peek()) ? throw Bad($"\\{Peek()}") : Literal();
        }

        int Control(int code)
        {
            At++;
            return code;
        }
    }

    private CodeSet Item(bool ignoresCase, int depth)
    {
        if (Skip("[:")) return Posix();
        if (Skip("[")) return Class(ignoresCase, depth + 1);
        if (Single() is not { } first) return Escape()!;
        if (Peek() != '-' || Peek(1) is ']' or '\0') return CodeSet.Of(first, first);
        At++;
        if (Peek() == '[') return CodeSet.Of(first, '-');
        return Single() is { } last && last >= first
            ? CodeSet.Of(first, last)
            : throw Bad("a range that ends before it begins");
    }

    /// <summary>One code point of a class; null, with the reader behind a "\", when a set follows.</summary>
    private int? Single()
    {
        if (!Skip("\\")) return AtEnd ? throw Bad("a class without end") : Literal();
        if (Skip("b")) return '\b';
        return Peek() is 'd' or 'D' or 'w' or 'W' or 's' or 'S' or 'h' or 'H' or 'p' or 'P' ? null : Code();
    }

    private CodeSet Posix()
    {
        var end = pattern.IndexOf(":]", At, StringComparison.Ordinal);
        if (end < 0) throw Bad("[: without :]");
        var name = pattern[At..end];
        At = end + 2;
        return name.StartsWith('^') ? Named(name[1..]).Not() : Named(name);
    }

    private CodeSet Property()
    {
        var isNot = pattern[At++] == 'P';
        if (!Skip("{")) throw Bad("\\p without {");
        if (Skip("^")) isNot = !isNot;
        var end = pattern.IndexOf('}', At);
        if (end < 0) throw Bad("\\p{ without }");
        var set = Named(pattern[At..end]);
        At = end + 1;
        return isNot ? set.Not() : set;
    }

    private CodeSet Named(string name) => CodeProperties.Find(name)
        ?? throw Bad($"the property \"{(name.Length <= 40 ? name : name[..40])}\"");

    private int Hex(int from, int to, int next)
    {
        var isCode = int.TryParse(
            pattern.AsSpan(from, Math.Max(0, to - from)), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture,
            out var code) && code is >= 0 and < 0x110000;
        if (!isCode) throw Bad("a code point that is none");
        At = Math.Min(next, pattern.Length);
        return code;
    }
}
