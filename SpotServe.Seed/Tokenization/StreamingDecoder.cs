using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>
/// Makes text of tokens as they come. A piece never ends inside a character: its bytes wait for the rest. All pieces,
/// <see cref="Finish"/>'s included, are the text of all tokens. One reader's; not thread-safe.
/// </summary>
public sealed class StreamingDecoder
{
    private readonly TokenTable _table;
    private readonly bool _skipSpecialTokens;
    private readonly Decoder _utf8;
    private readonly StringBuilder _piece = new();
    private int _stripsLeft;
    private bool _isFirst;

    /// <param name="isBegun">There is text before: nothing is taken off the beginning.</param>
    internal StreamingDecoder(TokenTable table, bool skipSpecialTokens, bool isBegun = false)
    {
        _table = table;
        _skipSpecialTokens = skipSpecialTokens;
        _isFirst = !isBegun;
        _stripsLeft = isBegun ? 0 : table.Definition.StripCount;
        _utf8 = Encoding.UTF8.GetDecoder();
    }

    /// <summary>The text that this token completes; empty while a character is incomplete.</summary>
    public string Push(int id)
    {
        if (!_table.Shows(id, _skipSpecialTokens)) return "";

        // Text by itself: what waited for more bytes got none, and is shown as broken.
        if (!_table.IsBytes(id)) Append([], flush: true);
        if (!_isFirst) _piece.Append(_table.Definition.Separator);
        var bytes = _table[id];
        if (_table.Definition.Mark is { } mark) AppendMarked(bytes, mark);
        else Append(bytes, flush: false);
        _isFirst = false;
        return Take();
    }

    /// <summary>The text of a special token that is left out; empty for all others.</summary>
    public string LeftOut(int id) => _skipSpecialTokens && _table.Shows(id, false) && !_table.Shows(id, true)
        ? Encoding.UTF8.GetString(_table[id]) : "";

    /// <summary>What is left when no more tokens come: U+FFFD for an incomplete character, else nothing.</summary>
    public string Finish()
    {
        Append([], flush: true);
        return Take();
    }

    private void AppendMarked(ReadOnlySpan<byte> bytes, char mark)
    {
        var text = Encoding.UTF8.GetString(bytes);
        Append(
            Encoding.UTF8.GetBytes(text.Replace(mark.ToString(), _isFirst ? "" : " ", StringComparison.Ordinal)),
            flush: false);
    }

    private void Append(ReadOnlySpan<byte> bytes, bool flush)
    {
        Span<char> chars = stackalloc char[256];
        bool completed;
        do
        {
            _utf8.Convert(bytes, chars, flush, out var read, out var written, out completed);
            _piece.Append(chars[..written]);
            bytes = bytes[read..];
        }
        while (!completed || bytes.Length > 0);
    }

    private string Take()
    {
        var start = 0;
        while (_stripsLeft > 0 && start < _piece.Length)
        {
            if (_piece[start] == _table.Definition.StripFirst)
            {
                start++;
                _stripsLeft--;
            }
            else
            {
                _stripsLeft = 0;
            }
        }

        var text = _piece.ToString(start, _piece.Length - start);
        _piece.Clear();
        return text;
    }
}
