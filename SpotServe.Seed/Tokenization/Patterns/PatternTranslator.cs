using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Tokenization.Patterns;

/// <summary>
/// Reads a pattern in the syntax of Oniguruma, which tokenizers are written in, and writes it for .NET. Every set of
/// characters in it is worked out here, not by .NET: there a character beyond U+FFFF is two, scripts have no names,
/// possessive quantifiers mean something else, and so do \w and $.
/// </summary>
internal sealed class PatternTranslator
{
    private const int PatternCharsMax = 20_000;
    private const int DepthMax = 64;
    private static readonly CodeSet NoNewline = CodeSet.Of('\n', '\n').Not();

    private readonly ClassReader _reader;
    private readonly List<Part> _parts = [];
    private int _atom;
    private bool _isQuantified;

    private PatternTranslator(string pattern) => _reader = new ClassReader(pattern);

    /// <summary>A piece of the translation: text for .NET, or a set to be written as a class.</summary>
    internal readonly record struct Part(string Text, CodeSet? Set);

    /// <exception cref="ArgumentException">The pattern is malformed, or uses what is not supported.</exception>
    public static IReadOnlyList<Part> Translate(string pattern)
    {
        if (pattern.Length > PatternCharsMax)
            throw new ArgumentException($"it has {pattern.Length:N0} characters; {PatternCharsMax:N0} is the most");
        var translator = new PatternTranslator(pattern);
        translator.Alternatives(new Flags(false, false), 0);
        return translator._reader.AtEnd ? translator._parts : throw translator._reader.Bad("a ) without (");
    }

    private readonly record struct Flags(bool IgnoresCase, bool DotIsAll);

    private void Alternatives(Flags flags, int depth)
    {
        if (depth > DepthMax) throw _reader.Bad($"a group in {DepthMax} others");
        NoAtom();
        while (!_reader.AtEnd && _reader.Peek() != ')')
        {
            switch (_reader.Peek())
            {
                case '|':
                    _reader.At++;
                    Write("|");
                    NoAtom();
                    break;
                case '(':
                    _reader.At++;
                    Group(ref flags, depth);
                    break;
                case '*' or '+' or '?':
                    Quantify(_reader.Peek().ToString(), 1);
                    break;
                case '{' when Interval(out var text, out var length):
                    Quantify(text, length);
                    break;
                default:
                    One(flags);
                    break;
            }
        }
    }

    /// <summary>One character, or a place between two.</summary>
    private void One(Flags flags)
    {
        NoAtom();
        if (_reader.Skip("[")) Write(_reader.Class(flags.IgnoresCase));
        else if (_reader.Skip(".")) Write(flags.DotIsAll ? CodeSet.All : NoNewline);
        else if (_reader.Skip("^")) Around("(?<!", NoNewline);
        else if (_reader.Skip("$")) Around("(?!", NoNewline);
        else if (_reader.Skip("\\")) Escape(flags);
        else WriteCode(_reader.Literal(), flags);
    }

    private void Escape(Flags flags)
    {
        if (_reader.Escape() is { } set)
        {
            Write(set);
            return;
        }

        switch (_reader.Peek())
        {
            case 'b' or 'B':
                var isBoundary = _reader.Peek() == 'b';
                _reader.At++;
                Boundary(isBoundary);
                break;
            case 'A' or 'z':
                Write("\\" + _reader.Peek());
                _reader.At++;
                break;
            case 'Z':
                _reader.At++;
                Write("(?=");
                Write(CodeSet.Of('\n', '\n'));
                Write("?\\z)");
                break;
            case 'R':
                _reader.At++;
                Write("(?>");
                Write(CodeSet.Of('\r', '\r'));
                Write(CodeSet.Of('\n', '\n'));
                Write("|");
                Write(CodeSet.Of([(10, 13), (0x85, 0x85), (0x2028, 0x2029)]));
                Write(")");
                break;
            default:
                WriteCode(_reader.Code(), flags);
                break;
        }
    }

    private void Boundary(bool isBoundary)
    {
        var (word, before, after) = (CodeProperties.Word, isBoundary ? "(?!" : "(?=", isBoundary ? "(?=" : "(?!");
        Write("(?:");
        Around("(?<=", word);
        Around(before, word);
        Write("|");
        Around("(?<!", word);
        Around(after, word);
        Write(")");
    }

    private void Group(ref Flags flags, int depth)
    {
        if (_reader.Skip("?#"))
        {
            while (!_reader.AtEnd && _reader.Peek() != ')') _reader.At++;
            Close();
            return;
        }

        var (inside, opening) = (flags, "(?:");
        if (_reader.Peek() == '?' && Opening() is { } known) opening = known;
        else if (_reader.Skip("?"))
        {
            inside = ReadFlags(flags);
            if (_reader.Skip(")"))
            {
                // For the rest of the group that they stand in, alternatives included.
                flags = inside;
                Write("(?:");
                Alternatives(flags, depth + 1);
                Write(")");
                NoAtom();
                return;
            }

            if (!_reader.Skip(":")) throw _reader.Bad("a group of this kind");
        }

        var start = _parts.Count;
        Write(opening);
        Alternatives(inside, depth + 1);
        Close();
        Write(")");
        (_atom, _isQuantified) = (start, false);
    }

    private string? Opening()
    {
        foreach (var kind in (string[])["?:", "?=", "?!", "?<=", "?<!", "?>"])
        {
            if (_reader.Skip(kind)) return "(" + kind;
        }

        if (!_reader.Skip("?<")) return null;
        while (!_reader.AtEnd && _reader.Peek() != '>') _reader.At++;
        return _reader.Skip(">") ? "(?:" : throw _reader.Bad("a group's name without end");
    }

    private Flags ReadFlags(Flags flags)
    {
        for (var isOn = true; _reader.Peek() is not (')' or ':' or '\0'); _reader.At++)
        {
            switch (_reader.Peek())
            {
                case '-':
                    isOn = false;
                    break;
                case 'i':
                    flags = flags with { IgnoresCase = isOn };
                    break;
                case 'm':
                    flags = flags with { DotIsAll = isOn };
                    break;
                case 'x' when !isOn:
                    break;
                default:
                    throw _reader.Bad($"the option {_reader.Peek()}");
            }
        }

        return flags;
    }

    private void Close()
    {
        if (!_reader.Skip(")")) throw _reader.Bad("a ( without )");
    }

    /// <summary>{n}, {n,}, {n,m} or {,m}; anything else in braces is just text.</summary>
    private bool Interval(out string text, out int length)
    {
        var digits = new StringBuilder();
        length = 1;
        while (char.IsAsciiDigit(_reader.Peek(length)) || _reader.Peek(length) == ',')
            digits.Append(_reader.Peek(length++));
        var isClosed = _reader.Peek(length++) == '}';
        var ends = digits.ToString().Split(',');
        text = ends is ["", _] ? $"{{0,{ends[1]}}}" : $"{{{digits}}}";
        return isClosed && ends.Length <= 2 && ends.Any(end => end.Length > 0)
            && ends.All(end => end.Length == 0
                || (int.TryParse(end, NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n <= 100_000));
    }

    private void Quantify(string quantifier, int length)
    {
        if (_atom >= _parts.Count) throw _reader.Bad("a quantifier of nothing");
        _reader.At += length;
        if (_isQuantified)
        {
            _parts.Insert(_atom, new Part("(?:", null));
            Write(")");
        }

        Write(quantifier);
        if (_reader.Skip("?")) Write("?");
        else if (length == 1 && _reader.Skip("+"))
        {
            _parts.Insert(_atom, new Part("(?>", null));
            Write(")");
            _isQuantified = false;
            return;
        }

        _isQuantified = true;
    }

    /// <summary>What is written next is the first part of what a quantifier would repeat.</summary>
    private void NoAtom() => (_atom, _isQuantified) = (_parts.Count, false);

    private void Around(string look, CodeSet set)
    {
        Write(look);
        Write(set);
        Write(")");
    }

    private void WriteCode(int code, Flags flags)
    {
        var set = CodeSet.Of(code, code);
        Write(flags.IgnoresCase ? CodeProperties.IgnoringCase(set) : set);
    }

    private void Write(CodeSet set) => _parts.Add(new Part("", set));

    private void Write(string text) => _parts.Add(new Part(text, null));
}
