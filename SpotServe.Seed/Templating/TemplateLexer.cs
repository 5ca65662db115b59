using System.Globalization;
using System.Text;

namespace SpotServe.Seed.Templating;

internal enum TemplateTokenKind
{
    /// <summary>Text between tags, white space already cut as the tags beside it ask.</summary>
    Text,

    /// <summary>{{</summary>
    OutputBegin,

    /// <summary>}}</summary>
    OutputEnd,

    /// <summary>{%</summary>
    BlockBegin,

    /// <summary>%}</summary>
    BlockEnd,

    Name,
    Integer,
    Float,
    String,
    Operator,
    End,
}

/// <param name="Text">Of a string its value, of all else what stands there.</param>
internal readonly record struct TemplateToken(TemplateTokenKind Kind, string Text, int Line);

/// <summary>
/// Cuts a template into text and the tokens within its tags. White space is treated as the models' own tool does
/// (trim_blocks and lstrip_blocks on): a line break after a block goes, so do blanks before a block that begins its
/// line, and "-" at a tag's edge takes all white space there.
/// </summary>
internal sealed class TemplateLexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", "<=", ">=",
        "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",", ":", "|", "(", ")", "[", "]", "{", "}",
    ];

    private readonly string _source;
    private readonly List<TemplateToken> _tokens = [];
    private int _at;
    private int _line = 1;

    /// <summary>Whether what comes next stands at the beginning of a line of the source.</summary>
    private bool _isAtLineStart = true;

    private TemplateLexer(string source) => _source = source;

    /// <exception cref="TemplateException">A tag, a string or a comment does not end, or a character is not
    /// known.</exception>
    public static IReadOnlyList<TemplateToken> Read(string source)
    {
        var normalized = source.ReplaceLineEndings("\n");
        if (normalized.EndsWith('\n')) normalized = normalized[..^1];
        var lexer = new TemplateLexer(normalized);
        lexer.ReadAll();
        return lexer._tokens;
    }

    private void ReadAll()
    {
        while (_at < _source.Length)
        {
            var tag = NextTag();
            if (tag < 0)
            {
                AddText(_source[_at..]);
                break;
            }

            var text = _source[_at..tag];
            var kind = _source[tag + 1];
            var control = tag + 2 < _source.Length ? _source[tag + 2] : '\0';
            AddText(CutBefore(text, kind, control));
            _line += text.Count('\n');
            _at = tag + (control is '-' or '+' ? 3 : 2);
            switch (kind)
            {
                case '#':
                    SkipComment();
                    break;
                case '{':
                    ReadTag(TemplateTokenKind.OutputBegin, TemplateTokenKind.OutputEnd, "}}");
                    break;
                default:
                    if (!TryReadRaw()) ReadTag(TemplateTokenKind.BlockBegin, TemplateTokenKind.BlockEnd, "%}");
                    break;
            }
        }

        Add(TemplateTokenKind.End, "the end of the template");
    }

    private int NextTag()
    {
        for (var at = _source.IndexOf('{', _at); at >= 0; at = _source.IndexOf('{', at + 1))
        {
            if (at + 1 < _source.Length && _source[at + 1] is '{' or '%' or '#') return at;
        }

        return -1;
    }

    private string CutBefore(string text, char kind, char control)
    {
        if (control == '-') return text.TrimEnd();
        if (control == '+' || kind == '{') return text;
        var lineStart = text.LastIndexOf('\n') + 1;
        if (lineStart == 0 && !_isAtLineStart) return text;
        var isBlank = text.AsSpan(lineStart).Trim(" \t").IsEmpty;
        return isBlank ? text[..lineStart] : text;
    }

    private void AddText(string text)
    {
        if (text.Length > 0) Add(TemplateTokenKind.Text, text);
    }

    private void SkipComment()
    {
        var end = _source.IndexOf("#}", _at, StringComparison.Ordinal);
        if (end < 0) throw Error("a comment does not end");
        var isCut = end > _at && _source[end - 1] == '-';
        _line += _source.AsSpan(_at, end - _at).Count('\n');
        _at = end + 2;
        CutAfter(isCut ? '-' : '\0', isBlock: true);
    }

    /// <summary>Passes over the white space that the end of a tag takes with it.</summary>
    private void CutAfter(char control, bool isBlock)
    {
        var begin = _at;
        if (control == '-')
        {
            while (_at < _source.Length && char.IsWhiteSpace(_source[_at])) _at++;
        }
        else if (control != '+' && isBlock && _at < _source.Length && _source[_at] == '\n')
        {
            _at++;
        }

        _line += _source.AsSpan(begin, _at - begin).Count('\n');
        _isAtLineStart = _at > begin && _source[_at - 1] == '\n';
    }

    /// <summary>{% raw %} ... {% endraw %}: everything between is text.</summary>
    private bool TryReadRaw()
    {
        if (TagAt(_at, "raw") is not { } open) return false;
        var begin = open.After;
        for (var at = _source.IndexOf("{%", begin, StringComparison.Ordinal); at >= 0;
            at = _source.IndexOf("{%", at + 2, StringComparison.Ordinal))
        {
            var control = at + 2 < _source.Length && _source[at + 2] is '-' or '+' ? _source[at + 2] : '\0';
            if (TagAt(control == '\0' ? at + 2 : at + 3, "endraw") is not { } close) continue;
            _at = begin;
            CutAfter(open.Control, isBlock: true);
            var text = _source[Math.Min(_at, at)..at];
            AddText(CutBefore(text, '%', control));
            _line += text.Count('\n');
            _at = close.After;
            CutAfter(close.Control, isBlock: true);
            return true;
        }

        throw Error("raw has no endraw");
    }

    private (int After, char Control)? TagAt(int at, string word)
    {
        while (at < _source.Length && char.IsWhiteSpace(_source[at])) at++;
        if (!_source.AsSpan(at).StartsWith(word, StringComparison.Ordinal)) return null;
        at += word.Length;
        while (at < _source.Length && char.IsWhiteSpace(_source[at])) at++;
        var control = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : '\0';
        return _source.AsSpan(at).StartsWith("%}", StringComparison.Ordinal) ? (at + 2, control) : null;
    }

    private void ReadTag(TemplateTokenKind begin, TemplateTokenKind end, string closing)
    {
        Add(begin, closing == "}}" ? "{{" : "{%");
        // A "}}" that closes two mappings is not the end of the tag.
        var braces = 0;
        while (true)
        {
            SkipBlanks();
            if (_at >= _source.Length) throw Error($"a tag does not end: {closing} is missing");
            var control = _source[_at] is '-' or '+' ? _source[_at] : '\0';
            var after = control == '\0' ? _at : _at + 1;
            if (braces == 0 && _source.AsSpan(after).StartsWith(closing, StringComparison.Ordinal))
            {
                Add(end, closing);
                _at = after + 2;
                CutAfter(control, isBlock: closing == "%}");
                return;
            }

            var text = ReadToken();
            if (text == "{") braces++;
            else if (text == "}") braces--;
        }
    }

    private void SkipBlanks()
    {
        while (_at < _source.Length && char.IsWhiteSpace(_source[_at]))
        {
            if (_source[_at] == '\n') _line++;
            _at++;
        }
    }

    /// <summary>Reads one token; of an operator its text, else nothing.</summary>
    private string? ReadToken()
    {
        var first = _source[_at];
        if (first is '\'' or '"')
        {
            Add(TemplateTokenKind.String, ReadString(first));
            return null;
        }

        if (char.IsAsciiDigit(first))
        {
            ReadNumber();
            return null;
        }

        if (char.IsLetter(first) || first == '_')
        {
            var begin = _at;
            while (_at < _source.Length && (char.IsLetterOrDigit(_source[_at]) || _source[_at] == '_')) _at++;
            Add(TemplateTokenKind.Name, _source[begin.._at]);
            return null;
        }

        foreach (var known in Operators)
        {
            if (!_source.AsSpan(_at).StartsWith(known, StringComparison.Ordinal)) continue;
            _at += known.Length;
            Add(TemplateTokenKind.Operator, known);
            return known;
        }

        throw Error($"the character '{first}' (U+{(int)first:X4}) has no meaning here");
    }

    private void ReadNumber()
    {
        var begin = _at;
        var kind = TemplateTokenKind.Integer;
        SkipDigits();
        if (_at + 1 < _source.Length && _source[_at] == '.' && char.IsAsciiDigit(_source[_at + 1]))
        {
            kind = TemplateTokenKind.Float;
            _at++;
            SkipDigits();
        }

        if (_at < _source.Length && _source[_at] is 'e' or 'E')
        {
            var digits = _at + 1 < _source.Length && _source[_at + 1] is '+' or '-' ? _at + 2 : _at + 1;
            if (digits < _source.Length && char.IsAsciiDigit(_source[digits]))
            {
                kind = TemplateTokenKind.Float;
                _at = digits;
                SkipDigits();
            }
        }

        Add(kind, _source[begin.._at].Replace("_", "", StringComparison.Ordinal));
    }

    private void SkipDigits()
    {
        while (_at < _source.Length && (char.IsAsciiDigit(_source[_at]) || _source[_at] == '_')) _at++;
    }

    private string ReadString(char quote)
    {
        var value = new StringBuilder();
        var begin = _line;
        for (_at++; _at < _source.Length; _at++)
        {
            var character = _source[_at];
            if (character == quote)
            {
                _at++;
                return value.ToString();
            }

            if (character == '\n') _line++;
            if (character == '\\' && _at + 1 < _source.Length) ReadEscape(value);
            else value.Append(character);
        }

        throw new TemplateException(begin, "a string does not end");
    }

    /// <summary>The escapes of a Python string; one that Python does not know stands for itself.</summary>
    private void ReadEscape(StringBuilder value)
    {
        var kind = _source[++_at];
        switch (kind)
        {
            case 'n':
                value.Append('\n');
                break;
            case 't':
                value.Append('\t');
                break;
            case 'r':
                value.Append('\r');
                break;
            case '\\' or '\'' or '"':
                value.Append(kind);
                break;
            case 'x':
                ReadCode(value, 2);
                break;
            case 'u':
                ReadCode(value, 4);
                break;
            case 'U':
                ReadCode(value, 8);
                break;
            case '\n':
                _line++;
                break;
            case '0' or 'a' or 'b' or 'f' or 'v':
                value.Append(kind switch { '0' => '\0', 'a' => '\a', 'b' => '\b', 'f' => '\f', _ => '\v' });
                break;
            default:
                value.Append('\\').Append(kind);
                break;
        }
    }

    private void ReadCode(StringBuilder value, int digits)
    {
        var begin = _at + 1;
        const NumberStyles Hexadecimal = NumberStyles.AllowHexSpecifier;
        if (begin + digits > _source.Length
            || !uint.TryParse(_source.AsSpan(begin, digits), Hexadecimal, CultureInfo.InvariantCulture, out var code)
            || code > 0x10FFFF)
        {
            throw Error($"\\{_source[_at]} needs {digits} hexadecimal digits of a character's code");
        }

        if (code is >= 0xD800 and <= 0xDFFF or <= 0xFFFF) value.Append((char)code);
        else value.Append(char.ConvertFromUtf32((int)code));
        _at += digits;
    }

    private void Add(TemplateTokenKind kind, string text) => _tokens.Add(new TemplateToken(kind, text, _line));

    private TemplateException Error(string message) => new(_line, message);
}
