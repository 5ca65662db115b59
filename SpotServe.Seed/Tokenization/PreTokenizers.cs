using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>Cuts text into the words that are encoded one by one, as tokenizer.json's "pre_tokenizer" says.</summary>
internal interface IPreTokenizer
{
    /// <summary>Appends the words of <paramref name="text"/>, none empty.</summary>
    void Split(string text, List<string> into);
}

/// <summary>Which parts of a text a <see cref="PatternSplit"/> keeps as words.</summary>
internal enum SplitKeeps
{
    MatchesAndGaps,
    Matches,
    Gaps,
}

internal sealed class PatternSplit(RunePattern pattern, SplitKeeps keeps) : IPreTokenizer
{
    public void Split(string text, List<string> into)
    {
        var at = 0;
        foreach (var match in pattern.Matches(text))
        {
            var (start, length) = match.GetOffsetAndLength(text.Length);
            Gap(start);
            if (keeps != SplitKeeps.Gaps) into.Add(text.Substring(start, length));
            at = start + length;
        }

        Gap(text.Length);

        void Gap(int end)
        {
            if (end > at && keeps != SplitKeeps.Matches) into.Add(text[at..end]);
        }
    }
}

/// <summary>Writes each byte of the text's UTF-8 as its stand-in of <see cref="ByteAlphabet"/>.</summary>
/// <param name="pattern">GPT-2's word pattern, applied before; null when an earlier part has split the text.</param>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, RunePattern? pattern) : IPreTokenizer
{
    public const string WordPattern =
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private readonly PatternSplit? _split = pattern is null ? null : new(pattern, SplitKeeps.MatchesAndGaps);

    public void Split(string text, List<string> into)
    {
        if (text.Length == 0) return;
        if (addPrefixSpace && text[0] != ' ') text = " " + text;

        var first = into.Count;
        if (_split is null) into.Add(text);
        else _split.Split(text, into);
        for (var i = first; i < into.Count; i++) into[i] = Spell(into[i]);
    }

    private static string Spell(string word)
    {
        Span<byte> bytes = word.Length <= 256 ? stackalloc byte[word.Length * 3] : new byte[word.Length * 3];
        bytes = bytes[..Encoding.UTF8.GetBytes(word, bytes)];
        var spelled = new StringBuilder(bytes.Length);
        foreach (var value in bytes) spelled.Append(ByteAlphabet.CharOf(value));
        return spelled.ToString();
    }
}

/// <summary>SentencePiece's words: spaces become a mark, and each mark begins a word.</summary>
/// <param name="prepends">Puts a mark before text that does not begin with one.</param>
/// <param name="splits">False leaves the text in one piece.</param>
internal sealed class MetaspacePreTokenizer(char mark, bool prepends, bool splits) : IPreTokenizer
{
    public void Split(string text, List<string> into)
    {
        if (text.Length == 0) return;
        text = text.Replace(' ', mark);
        if (prepends && text[0] != mark) text = mark + text;
        if (!splits)
        {
            into.Add(text);
            return;
        }

        for (var at = 0; at < text.Length;)
        {
            var next = text.IndexOf(mark, at + 1);
            var end = next < 0 ? text.Length : next;
            into.Add(text[at..end]);
            at = end;
        }
    }
}

internal sealed class PreTokenizerSequence(IReadOnlyList<IPreTokenizer> parts) : IPreTokenizer
{
    public void Split(string text, List<string> into)
    {
        List<string> words = [text];
        foreach (var part in parts)
        {
            var finer = new List<string>(words.Count);
            foreach (var word in words) part.Split(word, finer);
            words = finer;
        }

        into.AddRange(words);
    }
}
