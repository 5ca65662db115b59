namespace SpotServe.Seed.Tokenization;

/// <summary>Text to token ids and back. Immutable: any thread may use it.</summary>
public interface ITokenizer
{
    /// <summary>Highest token id plus one.</summary>
    int VocabularySize { get; }

    /// <summary>The ids of a text. O(n log n) in its length.</summary>
    /// <param name="addSpecialTokens">Adds what the model expects around a prompt, e.g. its first token.</param>
    /// <exception cref="TextTooComplexException">The pre-tokenizer's pattern ran past its time limit.</exception>
    IReadOnlyList<int> Encode(string text, bool addSpecialTokens);

    /// <summary>The text of some ids. Bytes that are no UTF-8 become U+FFFD; ids outside the vocabulary are left
    /// out.</summary>
    string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens);

    /// <summary>Begins to decode token by token; the pieces together are <see cref="Decode"/> of all ids.</summary>
    StreamingDecoder StartDecoding(bool skipSpecialTokens);

    /// <summary>Begins to decode tokens that follow others: their text reads on from the others' text, a first space
    /// and a character that both share included.</summary>
    /// <param name="tail">The last tokens before.</param>
    /// <param name="hasMore">There is text before these.</param>
    StreamingDecoder ContinueDecoding(ReadOnlySpan<int> tail, bool hasMore, bool skipSpecialTokens);

    /// <summary>The id of a token as the vocabulary writes it, or null.</summary>
    int? IdOf(string token);
}

/// <summary>A pattern of the tokenizer did not finish with this text within its time limit.</summary>
public sealed class TextTooComplexException(TimeSpan limit, Exception inner)
    : Exception($"The text could not be split into words within {limit.TotalSeconds:0.#} s; shorten it.", inner);
