using System.Buffers;
using System.Collections.Immutable;
using System.Runtime.Serialization;
using SpotServe.Actors.Serialization;

namespace SpotServe.Actors.Persistence;

/// <summary>
/// Tokens as journal text: base64 of varints. For a vocabulary of 128k at most four characters a token, where a JSON
/// array takes up to seven.
/// </summary>
internal static class TokenText
{
    public static string Write(ImmutableArray<int> tokens)
    {
        Invariant.Holds(!tokens.IsDefault);
        var bytes = ArrayPool<byte>.Shared.Rent(tokens.Length * Varint.BytesMax);
        try
        {
            return Convert.ToBase64String(bytes, 0, Varint.Write(tokens.AsSpan(), bytes));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <exception cref="JournalFormatException">The text is no base64, or not of whole numbers.</exception>
    public static ImmutableArray<int> Read(string text)
    {
        try
        {
            var stream = new MemoryStream(Convert.FromBase64String(text));
            var tokens = ImmutableArray.CreateBuilder<int>((int)stream.Length / 2);
            while (stream.Position < stream.Length) tokens.Add(Varint.Read(stream));
            return tokens.ToImmutable();
        }
        catch (Exception error) when (error is FormatException or SerializationException)
        {
            throw new JournalFormatException($"Damaged tokens in the journal: {error.Message}", error);
        }
    }
}
