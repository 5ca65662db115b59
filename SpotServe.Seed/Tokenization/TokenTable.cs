using System.Text;

namespace SpotServe.Seed.Tokenization;

/// <summary>How tokenizer.json's "decoder" makes text of tokens.</summary>
/// <param name="ByteLevel">Tokens are written in <see cref="ByteAlphabet"/>.</param>
/// <param name="Replacements">Done in each token, in order.</param>
/// <param name="ByteFallback">Tokens like "&lt;0x0A&gt;" are single bytes.</param>
/// <param name="StripFirst">Taken off the text's beginning, up to <paramref name="StripCount"/> times.</param>
/// <param name="Mark">The metaspace mark, a space except in the first token, where it is nothing; null without.</param>
/// <param name="Separator">Stands between tokens.</param>
internal sealed record DecoderDefinition(
    bool ByteLevel,
    IReadOnlyList<(string Pattern, string Content)> Replacements,
    bool ByteFallback,
    char StripFirst,
    int StripCount,
    char? Mark,
    string Separator)
{
    /// <summary>Tokens as the vocabulary writes them, one after the other.</summary>
    public static DecoderDefinition Plain { get; } = new(false, [], false, ' ', 0, null, "");
}

/// <summary>What each token id is when decoded, worked out once: UTF-8 bytes in one block of memory.</summary>
internal sealed class TokenTable
{
    private readonly byte[] _bytes;
    private readonly int[] _starts;
    private readonly TokenKind[] _kinds;

    /// <param name="tokens">Tokens by id; null where the vocabulary has a gap.</param>
    /// <param name="specials">Ids left out when special tokens are skipped.</param>
    public TokenTable(IReadOnlyList<string?> tokens, IReadOnlySet<int> specials, DecoderDefinition definition)
    {
        Definition = definition;
        _starts = new int[tokens.Count + 1];
        _kinds = new TokenKind[tokens.Count];
        var bytes = new List<byte>(tokens.Count * 8);
        for (var id = 0; id < tokens.Count; id++)
        {
            if (tokens[id] is { } token)
            {
                var (content, isByte) = Spell(token, definition);
                bytes.AddRange(content);
                _kinds[id] = TokenKind.Known
                    | (isByte ? TokenKind.Bytes : 0) | (specials.Contains(id) ? TokenKind.Special : 0);
            }

            _starts[id + 1] = bytes.Count;
        }

        _bytes = [.. bytes];
    }

    [Flags]
    private enum TokenKind : byte
    {
        Known = 1,
        Bytes = 2,
        Special = 4,
    }

    public DecoderDefinition Definition { get; }

    public int Count => _kinds.Length;

    /// <summary>Whether decoding shows the token at all.</summary>
    public bool Shows(int id, bool skipSpecialTokens) => id >= 0 && id < _kinds.Length
        && _kinds[id].HasFlag(TokenKind.Known) && !(skipSpecialTokens && _kinds[id].HasFlag(TokenKind.Special));

    /// <summary>True when the token may hold part of a character; false when it is whole text by itself.</summary>
    public bool IsBytes(int id) => _kinds[id].HasFlag(TokenKind.Bytes);

    public ReadOnlySpan<byte> this[int id] => _bytes.AsSpan(_starts[id].._starts[id + 1]);

    private static (byte[] Content, bool IsBytes) Spell(string token, DecoderDefinition definition)
    {
        if (definition.ByteLevel)
        {
            // A token with a character from outside the alphabet, as added tokens may have, is plain text.
            var bytes = token.Select(ByteAlphabet.ByteOf).ToArray();
            return (Array.TrueForAll(bytes, b => b.HasValue)
                ? Array.ConvertAll(bytes, b => b!.Value)
                : Encoding.UTF8.GetBytes(token), true);
        }

        foreach (var (pattern, content) in definition.Replacements)
            token = token.Replace(pattern, content, StringComparison.Ordinal);
        if (definition.ByteFallback && ByteOf(token) is { } value) return ([value], true);
        return (Encoding.UTF8.GetBytes(token), false);
    }

    private static byte? ByteOf(string token) =>
        token is ['<', '0', 'x', _, _, '>'] && byte.TryParse(
            token.AsSpan(3, 2),
            System.Globalization.NumberStyles.AllowHexSpecifier,
            System.Globalization.CultureInfo.InvariantCulture,
            out var value) ? value : null;
}
