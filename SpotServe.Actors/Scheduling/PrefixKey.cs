using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Names what a full page of a prompt holds: the model, every token up to the page's end, and how they were cut into
/// chunks, because the bits of a cache may depend on that. Half of a SHA-256 in a chain, so that nobody can make a
/// prompt whose pages are taken for another's.
/// </summary>
public readonly record struct PrefixKey(ulong High, ulong Low)
{
    private const int TokensMax = KvPage.Tokens;

    /// <summary>What the chain of a model's prompts begins with.</summary>
    /// <param name="model">Whatever tells this model from all others.</param>
    public static PrefixKey Root(string model) => Of(SHA256.HashData(Encoding.UTF8.GetBytes(model)));

    /// <summary>The key of the page after this one's.</summary>
    /// <param name="tokens">The page's tokens, at most 16.</param>
    /// <param name="chunkLength">Tokens of the chunk that the page's last token is computed in.</param>
    internal PrefixKey Next(ReadOnlySpan<int> tokens, int chunkLength)
    {
        Span<byte> content = stackalloc byte[(2 * sizeof(ulong)) + ((1 + TokensMax) * sizeof(int))];
        BinaryPrimitives.WriteUInt64LittleEndian(content, High);
        BinaryPrimitives.WriteUInt64LittleEndian(content[8..], Low);
        BinaryPrimitives.WriteInt32LittleEndian(content[16..], chunkLength);
        var bytes = MemoryMarshal.AsBytes(tokens);
        bytes.CopyTo(content[20..]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(content[..(20 + bytes.Length)], hash);
        return Of(hash);
    }

    private static PrefixKey Of(ReadOnlySpan<byte> hash) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(hash), BinaryPrimitives.ReadUInt64LittleEndian(hash[8..]));
}
