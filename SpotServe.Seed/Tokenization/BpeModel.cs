using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>What a tokenizer.json's "model" says about byte-pair encoding.</summary>
/// <param name="Vocabulary">Token to id.</param>
/// <param name="Merges">Pairs of ids in order of rank; the third is the id of the two joined.</param>
/// <param name="UnknownId">Stands for characters that the vocabulary lacks; null drops them.</param>
/// <param name="FuseUnknown">One unknown token for a run of unknown characters.</param>
/// <param name="ByteFallback">Spell an unknown character with the byte tokens "&lt;0x00&gt;" to "&lt;0xFF&gt;".</param>
/// <param name="IgnoreMerges">A word that is itself a token is that token, whatever the merges give.</param>
internal sealed record BpeDefinition(
    IReadOnlyDictionary<string, int> Vocabulary,
    IReadOnlyList<(int Left, int Right, int Joined)> Merges,
    int? UnknownId,
    bool FuseUnknown,
    bool ByteFallback,
    bool IgnoreMerges);

/// <summary>Byte-pair encoding of one word: joins the neighbours of lowest rank until none can be joined.</summary>
internal sealed class BpeModel
{
    private readonly BpeDefinition _definition;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _vocabulary;
    private readonly Dictionary<(int Left, int Right), (int Rank, int Joined)> _merges;
    private readonly int[]? _byteIds;

    public BpeModel(BpeDefinition definition)
    {
        _definition = definition;
        _vocabulary = new Dictionary<string, int>(definition.Vocabulary, StringComparer.Ordinal)
            .GetAlternateLookup<ReadOnlySpan<char>>();
        _merges = new Dictionary<(int, int), (int, int)>(definition.Merges.Count);
        for (var rank = 0; rank < definition.Merges.Count; rank++)
        {
            var (left, right, joined) = definition.Merges[rank];
            _merges[(left, right)] = (rank, joined);
        }

        if (!definition.ByteFallback) return;
        var ids = Enumerable.Range(0, 256).Select(b => IdOf($"<0x{b:X2}>") ?? -1).ToArray();
        _byteIds = ids;
    }

    public int? IdOf(ReadOnlySpan<char> token) => _vocabulary.TryGetValue(token, out var id) ? id : null;

    /// <summary>Appends the ids of a word. O(n log n).</summary>
    public void Encode(ReadOnlySpan<char> word, List<int> into)
    {
        if (word.IsEmpty) return;
        if (_definition.IgnoreMerges && IdOf(word) is { } whole)
        {
            into.Add(whole);
            return;
        }

        var symbols = Symbols(word);
        if (symbols.Count > 1) Merge(symbols);
        foreach (var symbol in symbols)
        {
            if (symbol.Id >= 0) into.Add(symbol.Id);
        }
    }

    /// <summary>A word's characters as a linked list in a list; joined-away ones get the id -1.</summary>
    private List<Symbol> Symbols(ReadOnlySpan<char> word)
    {
        var symbols = new List<Symbol>(word.Length);
        var afterUnknown = false;
        for (var at = 0; at < word.Length;)
        {
            var length = char.IsHighSurrogate(word[at]) && at + 1 < word.Length ? 2 : 1;
            var character = word.Slice(at, length);
            at += length;
            if (IdOf(character) is { } id)
            {
                Add(id);
                afterUnknown = false;
            }
            else if (!AddBytes(character) && _definition.UnknownId is { } unknown)
            {
                if (!(afterUnknown && _definition.FuseUnknown)) Add(unknown);
                afterUnknown = true;
            }
        }

        return symbols;

        void Add(int id) => symbols.Add(new Symbol(id, symbols.Count - 1, symbols.Count + 1));

        bool AddBytes(ReadOnlySpan<char> character)
        {
            if (_byteIds is null) return false;
            Span<byte> bytes = stackalloc byte[4];
            bytes = bytes[..Encoding.UTF8.GetBytes(character, bytes)];
            foreach (var value in bytes)
            {
                if (_byteIds[value] < 0) return false;
            }

            foreach (var value in bytes) Add(_byteIds[value]);
            afterUnknown = false;
            return true;
        }
    }

    /// <summary>
    /// Every possible join waits in a heap, lowest rank first, leftmost among equals. A join makes others impossible;
    /// those are noticed when they come up, because the ids at their place are no longer what they were.
    /// </summary>
    private void Merge(List<Symbol> symbols)
    {
        var joins = new PriorityQueue<Join, (int Rank, int Position)>();
        for (var i = 0; i + 1 < symbols.Count; i++) Offer(i);

        while (joins.TryDequeue(out var join, out var priority))
        {
            var left = symbols[priority.Position];
            if (left.Id != join.Left || left.Next >= symbols.Count) continue;
            var right = symbols[left.Next];
            if (right.Id != join.Right) continue;

            symbols[left.Next] = right with { Id = -1 };
            symbols[priority.Position] = left with { Id = join.Joined, Next = right.Next };
            if (right.Next < symbols.Count)
                symbols[right.Next] = symbols[right.Next] with { Previous = priority.Position };
            Offer(priority.Position);
            if (left.Previous >= 0) Offer(left.Previous);
        }

        void Offer(int position)
        {
            var left = symbols[position];
            if (left.Next >= symbols.Count) return;
            var right = symbols[left.Next];
            if (_merges.TryGetValue((left.Id, right.Id), out var merge))
                joins.Enqueue(new Join(left.Id, right.Id, merge.Joined), (merge.Rank, position));
        }
    }

    private readonly record struct Symbol(int Id, int Previous, int Next);

    private readonly record struct Join(int Left, int Right, int Joined);
}
