using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Actors.DataPlane;

/// <summary>How the accepting side answers a proven or disproven dialler.</summary>
internal enum HandshakeStatus : byte
{
    Accepted = 1,

    /// <summary>Wrong secret, stale epoch, impossible key: trying again cannot help.</summary>
    Refused = 2,

    /// <summary>Too many wait, or nobody expects it yet: trying again may help.</summary>
    NotNow = 3,
}

/// <summary>
/// The messages that open a link, each of fixed size but the last:
/// dialler: Hello(magic, version, nonce); listener: Challenge(magic, version, nonce);
/// dialler: Proof(key, HMAC("D", both nonces, key)); listener: Reply(status, HMAC("L", both nonces, key), reason).
/// Both prove that they know the secret, which never crosses the wire; fresh nonces make a recording worthless, and
/// the role in the HMAC makes an echo worthless. Hello and Challenge also say whether their sender goes on in TLS once
/// the link is accepted; sides that differ part. Without TLS the network between nodes must be one where connections
/// cannot be taken over.
/// </summary>
internal static class Handshake
{
    public const ushort Version = 1;
    public const int NonceBytes = 32;
    public const int HelloBytes = 8 + NonceBytes;
    public const int ProofBytes = LinkKey.Bytes + HMACSHA256.HashSizeInBytes;
    public const int ReplyHeadBytes = 4 + HMACSHA256.HashSizeInBytes;
    public const int ReasonBytesMax = 255;

    private const uint Magic = 0x54_4f_50_53; // "SPOT" in memory order

    /// <summary>What follows an accepted link.</summary>
    private const ushort Plain = 0;
    private const ushort Encrypted = 1;

    /// <summary>Writes a Hello or a Challenge, which have the same form.</summary>
    /// <param name="isEncrypted">Whether the sender goes on in TLS.</param>
    public static void WriteHello(Span<byte> into, ReadOnlySpan<byte> nonce, bool isEncrypted = false)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(into, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(into[4..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(into[6..], isEncrypted ? Encrypted : Plain);
        nonce.CopyTo(into[8..]);
    }

    /// <returns>The version that the peer speaks, or null when this is no data plane.</returns>
    public static int? ReadHello(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt32LittleEndian(from) == Magic
        ? BinaryPrimitives.ReadUInt16LittleEndian(from[4..])
        : null;

    /// <summary>Whether the sender of a Hello or a Challenge goes on in TLS.</summary>
    public static bool IsEncrypted(ReadOnlySpan<byte> hello) =>
        BinaryPrimitives.ReadUInt16LittleEndian(hello[6..]) == Encrypted;

    public static ReadOnlySpan<byte> NonceOf(ReadOnlySpan<byte> hello) => hello.Slice(8, NonceBytes);

    public static void WriteProof(
        Span<byte> into, LinkKey key, ClusterSecret secret, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> challenge)
    {
        key.Write(into);
        Sign('D', secret, NonceOf(hello), NonceOf(challenge), into[..LinkKey.Bytes], into[LinkKey.Bytes..]);
    }

    public static bool IsProven(
        ReadOnlySpan<byte> proof, ClusterSecret secret, ReadOnlySpan<byte> hello, ReadOnlySpan<byte> challenge)
    {
        Span<byte> due = stackalloc byte[HMACSHA256.HashSizeInBytes];
        Sign('D', secret, NonceOf(hello), NonceOf(challenge), proof[..LinkKey.Bytes], due);
        return CryptographicOperations.FixedTimeEquals(due, proof[LinkKey.Bytes..]);
    }

    /// <summary>Writes the reply; only an acceptance carries the listener's own proof.</summary>
    /// <returns>Its length.</returns>
    public static int WriteReply(
        Span<byte> into,
        HandshakeStatus status,
        string reason,
        ClusterSecret secret,
        ReadOnlySpan<byte> hello,
        ReadOnlySpan<byte> challenge,
        ReadOnlySpan<byte> proof)
    {
        into[..ReplyHeadBytes].Clear();
        into[0] = (byte)status;
        if (status == HandshakeStatus.Accepted)
        {
            Sign('L', secret, NonceOf(hello), NonceOf(challenge), proof[..LinkKey.Bytes], into.Slice(4, 32));
        }

        Encoding.UTF8.GetEncoder().Convert(
            reason, into.Slice(ReplyHeadBytes, ReasonBytesMax), flush: true, out _, out var reasonBytes, out _);
        into[1] = (byte)reasonBytes;
        return ReplyHeadBytes + reasonBytes;
    }

    public static bool IsListenerProven(
        ReadOnlySpan<byte> reply,
        ClusterSecret secret,
        ReadOnlySpan<byte> hello,
        ReadOnlySpan<byte> challenge,
        ReadOnlySpan<byte> proof)
    {
        Span<byte> due = stackalloc byte[HMACSHA256.HashSizeInBytes];
        Sign('L', secret, NonceOf(hello), NonceOf(challenge), proof[..LinkKey.Bytes], due);
        return CryptographicOperations.FixedTimeEquals(due, reply.Slice(4, HMACSHA256.HashSizeInBytes));
    }

    private static void Sign(
        char role,
        ClusterSecret secret,
        ReadOnlySpan<byte> diallerNonce,
        ReadOnlySpan<byte> listenerNonce,
        ReadOnlySpan<byte> key,
        Span<byte> into)
    {
        Span<byte> text = stackalloc byte[2 + (2 * NonceBytes) + LinkKey.Bytes];
        text[0] = (byte)role;
        text[1] = (byte)Version;
        diallerNonce.CopyTo(text[2..]);
        listenerNonce.CopyTo(text[(2 + NonceBytes)..]);
        key.CopyTo(text[(2 + (2 * NonceBytes))..]);
        HMACSHA256.HashData(secret.Key, text, into);
    }
}
