using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>The stages of a tokenizer.json, put together by <see cref="TokenizerLoader"/>.</summary>
/// <param name="Prefix">Ids before the text when special tokens are asked for.</param>
/// <param name="Suffix">Ids after it.</param>
internal sealed record TokenizerParts(
    IReadOnlyList<AddedToken> AddedTokens,
    INormalizer? Normalizer,
    IPreTokenizer? PreTokenizer,
    BpeDefinition Model,
    DecoderDefinition Decoder,
    IReadOnlyList<int> Prefix,
    IReadOnlyList<int> Suffix);

/// <summary>
/// A Hugging Face tokenizer: added tokens are cut out, the rest is normalized, split into words, and each word
/// encoded. Why not a library's: docs/adr/0002-tokenizers.md.
/// </summary>
internal sealed class BpeTokenizer : ITokenizer
{
    private readonly TokenizerParts _parts;
    private readonly BpeModel _model;
    private readonly AddedTokenMatcher _raw;
    private readonly AddedTokenMatcher _normalized;
    private readonly TokenTable _table;
    private readonly Dictionary<string, int> _addedIds;

    public BpeTokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _model = new BpeModel(parts.Model);
        _addedIds = parts.AddedTokens.ToDictionary(t => t.Content, t => t.Id, StringComparer.Ordinal);
        _raw = new AddedTokenMatcher(parts.AddedTokens.Where(t => !t.Normalized).Select(t => (t.Content, t)));
        _normalized = new AddedTokenMatcher(
            parts.AddedTokens.Where(t => t.Normalized).Select(t => (Normalize(t.Content), t)));
        _table = Table(parts);

        TokenTable Table(TokenizerParts from)
        {
            var ids = from.Model.Vocabulary.Values.Concat(from.AddedTokens.Select(t => t.Id));
            var tokens = new string?[ids.DefaultIfEmpty(-1).Max() + 1];
            foreach (var (token, id) in from.Model.Vocabulary) tokens[id] = token;
            // A normalized added token is shown as it is matched, e.g. with its dummy prefix.
            foreach (var token in from.AddedTokens)
                tokens[token.Id] = token.Normalized ? Normalize(token.Content) : token.Content;
            return new TokenTable(
                tokens, from.AddedTokens.Where(t => t.Special).Select(t => t.Id).ToHashSet(), from.Decoder);
        }
    }

    public int VocabularySize => _table.Count;

    public int? IdOf(string token) => _addedIds.TryGetValue(token, out var id) ? id : _model.IdOf(token);

    public IReadOnlyList<int> Encode(string text, bool addSpecialTokens)
    {
        var ids = new List<int>((text.Length / 3) + 4);
        var isAtStart = true;
        if (addSpecialTokens) ids.AddRange(_parts.Prefix);
        _raw.Split(Sanitize(text), EncodeRaw, Add);
        if (addSpecialTokens) ids.AddRange(_parts.Suffix);
        return ids;

        void Add(int id)
        {
            ids.Add(id);
            isAtStart = false;
        }

        void EncodeRaw(string raw)
        {
            _normalized.Split(Normalize(raw), EncodeNormalized, Add);
            isAtStart = false;
        }

        void EncodeNormalized(string normalized)
        {
            var whole = new Word(normalized, isAtStart);
            isAtStart = false;
            if (_parts.PreTokenizer is null)
            {
                _model.Encode(normalized, ids);
                return;
            }

            var words = new List<Word>((normalized.Length / 4) + 1);
            _parts.PreTokenizer.Split(whole, words);
            foreach (var word in words) _model.Encode(word.Text, ids);
        }
    }

    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens)
    {
        var decoder = StartDecoding(skipSpecialTokens);
        var text = new StringBuilder(ids.Length * 4);
        foreach (var id in ids) text.Append(decoder.Push(id));
        return text.Append(decoder.Finish()).ToString();
    }

    public StreamingDecoder StartDecoding(bool skipSpecialTokens) => new(_table, skipSpecialTokens);

    public StreamingDecoder ContinueDecoding(ReadOnlySpan<int> tail, bool hasMore, bool skipSpecialTokens)
    {
        var decoder = new StreamingDecoder(_table, skipSpecialTokens, isBegun: hasMore);
        foreach (var id in tail) decoder.Push(id);
        return decoder;
    }

    private string Normalize(string text) => _parts.Normalizer?.Normalize(text) ?? text;

    /// <summary>Half a surrogate pair is no character and has no UTF-8: U+FFFD, as in any UTF-8 text.</summary>
    private static string Sanitize(string text)
    {
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0) return text;
        var clean = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes()) clean.Append(rune);
        return clean.ToString();
    }
}
