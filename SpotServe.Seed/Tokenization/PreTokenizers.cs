namespace SpotServe.Seed.Tokenization;

/// <summary>A piece of text that is encoded by itself, or cut further.</summary>
/// <param name="IsAtStart">It begins where the whole text begins.</param>
internal readonly record struct Word(string Text, bool IsAtStart);

/// <summary>Cuts text into the words that are encoded one by one, as tokenizer.json's "pre_tokenizer" says.</summary>
internal interface IPreTokenizer
{
    /// <summary>Appends the words of a text that is not empty, none empty.</summary>
    void Split(Word word, List<Word> into);

    /// <summary>Whether it puts a space before a text's first word; null when it is none that could.</summary>
    bool? AddsPrefixSpace => null;
}

/// <summary>What becomes of the parts of a text that a <see cref="PatternSplit"/> finds.</summary>
internal enum SplitBehavior
{
    /// <summary>A match is dropped.</summary>
    Removed,

    /// <summary>A match is a word.</summary>
    Isolated,

    /// <summary>Matches side by side are one word, and so is what lies between.</summary>
    Contiguous,

    /// <summary>A match goes with the text before it.</summary>
    MergedWithPrevious,

    /// <summary>A match goes with the text after it.</summary>
    MergedWithNext,
}

/// <param name="isInverted">What lies between matches is what the behavior means.</param>
internal sealed class PatternSplit(RunePattern pattern, SplitBehavior behavior, bool isInverted = false) : IPreTokenizer
{
    public void Split(Word word, List<Word> into)
    {
        var text = word.Text;
        foreach (var (start, end, isDropped) in Joined(Parts(text)))
        {
            if (end > start && !isDropped) into.Add(new Word(text[start..end], word.IsAtStart && start == 0));
        }
    }

    /// <summary>The whole text, cut where matches begin and end.</summary>
    private List<(int Start, int End, bool IsMatch)> Parts(string text)
    {
        var parts = new List<(int Start, int End, bool IsMatch)>();
        var at = 0;
        foreach (var match in pattern.Matches(text))
        {
            if (match.Start > at) parts.Add((at, match.Start, isInverted));
            parts.Add((match.Start, match.End, !isInverted));
            at = match.End;
        }

        if (at < text.Length) parts.Add((at, text.Length, isInverted));
        return parts;
    }

    private IEnumerable<(int Start, int End, bool IsDropped)> Joined(List<(int Start, int End, bool IsMatch)> parts)
    {
        switch (behavior)
        {
            case SplitBehavior.Removed:
                return parts;
            case SplitBehavior.Isolated:
                return parts.Select(part => (part.Start, part.End, false));
            case SplitBehavior.Contiguous:
                return Join(parts, (isMatch, wasMatch) => isMatch == wasMatch);
            case SplitBehavior.MergedWithPrevious:
                return Join(parts, (isMatch, wasMatch) => isMatch && !wasMatch);
            case SplitBehavior.MergedWithNext:
                var mirrored = parts.Select(part => (-part.End, -part.Start, part.IsMatch)).Reverse();
                return Join(mirrored, (isMatch, wasMatch) => isMatch && !wasMatch)
                    .Select(part => (-part.End, -part.Start, false)).Reverse();
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private static List<(int Start, int End, bool IsDropped)> Join(
        IEnumerable<(int Start, int End, bool IsMatch)> parts, Func<bool, bool, bool> joins)
    {
        var joined = new List<(int Start, int End, bool IsDropped)>();
        var wasMatch = false;
        foreach (var (start, end, isMatch) in parts)
        {
            if (joined.Count > 0 && joins(isMatch, wasMatch)) joined[^1] = joined[^1] with { End = end };
            else joined.Add((start, end, false));
            wasMatch = isMatch;
        }

        return joined;
    }
}

/// <summary>Writes each byte of the text's UTF-8 as its stand-in of <see cref="ByteAlphabet"/>.</summary>
/// <param name="pattern">GPT-2's word pattern, applied before; null when an earlier part has split the text.</param>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, RunePattern? pattern) : IPreTokenizer
{
    public const string WordPattern =
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private readonly PatternSplit? _split = pattern is null ? null : new(pattern, SplitBehavior.Isolated);

    public bool? AddsPrefixSpace => addPrefixSpace;

    public void Split(Word word, List<Word> into)
    {
        if (addPrefixSpace && word.Text[0] != ' ') word = word with { Text = " " + word.Text };

        var first = into.Count;
        if (_split is null) into.Add(word);
        else _split.Split(word, into);
        for (var i = first; i < into.Count; i++) into[i] = into[i] with { Text = ByteAlphabet.Spell(into[i].Text) };
    }
}

/// <summary>Which texts SentencePiece's mark is put before, if they do not begin with one.</summary>
internal enum PrependScheme
{
    Always,

    /// <summary>Only what the whole text begins with: not what follows a special token.</summary>
    First,
    Never,
}

/// <summary>SentencePiece's words: spaces become a mark, and each mark begins a word.</summary>
/// <param name="splits">False leaves the text in one piece.</param>
internal sealed class MetaspacePreTokenizer(char mark, PrependScheme prepends, bool splits) : IPreTokenizer
{
    public bool? AddsPrefixSpace => prepends != PrependScheme.Never;

    public void Split(Word word, List<Word> into)
    {
        var text = word.Text.Replace(' ', mark);
        var isMarked = prepends == PrependScheme.Always || (prepends == PrependScheme.First && word.IsAtStart);
        if (isMarked && text[0] != mark) text = mark + text;
        if (!splits)
        {
            into.Add(word with { Text = text });
            return;
        }

        for (var at = 0; at < text.Length;)
        {
            var next = text.IndexOf(mark, at + 1);
            var end = next < 0 ? text.Length : next;
            into.Add(new Word(text[at..end], word.IsAtStart && at == 0));
            at = end;
        }
    }
}

internal sealed class PreTokenizerSequence(IReadOnlyList<IPreTokenizer> parts) : IPreTokenizer
{
    public bool? AddsPrefixSpace => parts.Select(part => part.AddsPrefixSpace).FirstOrDefault(adds => adds is not null);

    public void Split(Word word, List<Word> into)
    {
        List<Word> words = [word];
        foreach (var part in parts)
        {
            var finer = new List<Word>(words.Count);
            foreach (var coarse in words) part.Split(coarse, finer);
            words = finer;
        }

        into.AddRange(words);
    }
}
