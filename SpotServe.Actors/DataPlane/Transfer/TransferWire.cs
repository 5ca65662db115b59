using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.DataPlane;

/// <summary>What a fetch asks of a source: a part of a slice's wire form.</summary>
/// <param name="From">First byte: the resume offset.</param>
/// <param name="To">End, exclusive.</param>
/// <param name="ChunkBytes">Length of all chunks but the last.</param>
internal sealed record TransferRequest(SliceRequest Slice, long From, long To, int ChunkBytes);

internal enum TransferStatus : byte
{
    /// <summary>Chunks follow.</summary>
    Sending = 1,

    /// <summary>Not to be had here; asking again cannot help.</summary>
    Lost = 2,
}

/// <summary>
/// The messages of a transfer, little-endian. Request: what, from where to where. Reply: status, length of the whole
/// slice, reason. Then chunks, each a head (offset, length, checksum) and its bytes; a head of length 0 ends them. The
/// connection is then free for the next request.
/// </summary>
internal static class TransferWire
{
    public const int RequestHeadBytes = 84;
    public const int RequestBytesMax = RequestHeadBytes + NodeBytesMax + (sizeof(int) * PageRun.PagesMax);
    public const int ReplyHeadBytes = 16;
    public const int ReasonBytesMax = 255;
    public const int ChunkHeadBytes = 24;

    private const int NodeBytesMax = 1024;
    private const uint RequestMagic = 0x51_52_54_53; // "STRQ" in memory order
    private const uint ReplyMagic = 0x50_52_54_53; // "STRP"
    private const byte IsWeights = 1;
    private const byte IsPages = 2;

    /// <exception cref="ArgumentException">The request is longer than any source takes.</exception>
    public static byte[] EncodeRequest(TransferRequest request)
    {
        var slice = request.Slice;
        Invariant.Holds((slice.Weights is null) != (slice.Pages is null));
        var pages = slice.Pages is { } run ? run.Pages.AsSpan() : [];
        var nodeBytes = Encoding.UTF8.GetByteCount(slice.From.Node);
        if (pages.Length > PageRun.PagesMax || nodeBytes > NodeBytesMax)
        {
            throw new ArgumentException(
                $"A request names {pages.Length} pages of a node with a name of {nodeBytes} bytes; the limits are "
                + $"{PageRun.PagesMax} and {NodeBytesMax}.", nameof(request));
        }

        var bytes = new byte[RequestHeadBytes + nodeBytes + (sizeof(int) * pages.Length)];
        var to = bytes.AsSpan();
        BinaryPrimitives.WriteUInt32LittleEndian(to, RequestMagic);
        BinaryPrimitives.WriteInt32LittleEndian(to[4..], bytes.Length);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], slice.Epoch.Value);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], request.From);
        BinaryPrimitives.WriteInt64LittleEndian(to[24..], request.To);
        BinaryPrimitives.WriteInt32LittleEndian(to[32..], request.ChunkBytes);
        to[37] = slice.Urgent ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(to[72..], slice.From.Index);
        BinaryPrimitives.WriteInt32LittleEndian(to[76..], nodeBytes);
        BinaryPrimitives.WriteInt32LittleEndian(to[80..], pages.Length);
        if (slice.Weights is { } weights) WriteWeights(to, weights);
        else WritePages(to, slice.Pages!);
        Encoding.UTF8.GetBytes(slice.From.Node, to[RequestHeadBytes..]);
        MemoryMarshal.AsBytes(pages).CopyTo(to[(RequestHeadBytes + nodeBytes)..]);
        return bytes;
    }

    /// <returns>Length of the whole request whose head this is; null when it is none or too long.</returns>
    public static int? RequestBytes(ReadOnlySpan<byte> head)
    {
        var length = BinaryPrimitives.ReadInt32LittleEndian(head[4..]);
        var isRequest = BinaryPrimitives.ReadUInt32LittleEndian(head) == RequestMagic
            && length is >= RequestHeadBytes and <= RequestBytesMax;
        return isRequest ? length : null;
    }

    /// <returns>Null when it is malformed.</returns>
    public static TransferRequest? DecodeRequest(ReadOnlySpan<byte> bytes)
    {
        var nodeBytes = BinaryPrimitives.ReadInt32LittleEndian(bytes[76..]);
        var pageCount = BinaryPrimitives.ReadInt32LittleEndian(bytes[80..]);
        var from = BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]);
        var end = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        var chunkBytes = BinaryPrimitives.ReadInt32LittleEndian(bytes[32..]);
        var isSane = nodeBytes is >= 0 and <= NodeBytesMax
            && pageCount is >= 0 and <= PageRun.PagesMax
            && bytes.Length == RequestHeadBytes + nodeBytes + (sizeof(int) * pageCount)
            && from >= 0 && from <= end
            && chunkBytes is >= 1 and <= TransferOptions.ChunkBytesMax
            && bytes[36] is IsWeights or IsPages
            && bytes[38] <= (byte)TensorGroup.Back;
        if (!isSane) return null;

        var device = new DeviceId(
            Encoding.UTF8.GetString(bytes.Slice(RequestHeadBytes, nodeBytes)),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[72..]));
        var pages = MemoryMarshal.Cast<byte, int>(bytes[(RequestHeadBytes + nodeBytes)..]).ToImmutableArray();
        var slice = new SliceRequest(
            new Epoch(BinaryPrimitives.ReadInt64LittleEndian(bytes[8..])),
            device,
            bytes[36] == IsWeights ? ReadWeights(bytes) : null,
            bytes[36] == IsPages ? ReadPages(bytes, pages) : null,
            bytes[37] != 0);
        return new TransferRequest(slice, from, end, chunkBytes);
    }

    public static int WriteReply(Span<byte> into, TransferStatus status, long totalBytes, string reason)
    {
        Encoding.UTF8.GetEncoder().Convert(
            reason, into.Slice(ReplyHeadBytes, ReasonBytesMax), flush: true, out _, out var reasonBytes, out _);
        BinaryPrimitives.WriteUInt32LittleEndian(into, ReplyMagic);
        BinaryPrimitives.WriteInt32LittleEndian(into[4..], (int)status | (reasonBytes << 8));
        BinaryPrimitives.WriteInt64LittleEndian(into[8..], totalBytes);
        return ReplyHeadBytes + reasonBytes;
    }

    /// <returns>Null when it is no reply.</returns>
    public static (TransferStatus Status, int ReasonBytes, long TotalBytes)? ReadReply(ReadOnlySpan<byte> head)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) != ReplyMagic) return null;
        if (head[4] is not ((byte)TransferStatus.Sending or (byte)TransferStatus.Lost)) return null;
        return ((TransferStatus)head[4], head[5], BinaryPrimitives.ReadInt64LittleEndian(head[8..]));
    }

    public static void WriteChunkHead(Span<byte> into, long offset, int length, ulong checksum)
    {
        BinaryPrimitives.WriteInt64LittleEndian(into, offset);
        BinaryPrimitives.WriteInt64LittleEndian(into[8..], length);
        BinaryPrimitives.WriteUInt64LittleEndian(into[16..], checksum);
    }

    public static (long Offset, long Length, ulong Checksum) ReadChunkHead(ReadOnlySpan<byte> from) => (
        BinaryPrimitives.ReadInt64LittleEndian(from),
        BinaryPrimitives.ReadInt64LittleEndian(from[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(from[16..]));

    private static void WriteWeights(Span<byte> to, WeightSlice weights)
    {
        to[36] = IsWeights;
        to[38] = (byte)weights.Group;
        to[39] = weights.Share.Replicated ? (byte)1 : (byte)0;
        WriteLayers(to, weights.Layers);
        BinaryPrimitives.WriteInt32LittleEndian(to[48..], weights.Share.First);
        BinaryPrimitives.WriteInt32LittleEndian(to[52..], weights.Share.End);
        BinaryPrimitives.WriteInt32LittleEndian(to[56..], weights.Share.KvFirst);
        BinaryPrimitives.WriteInt32LittleEndian(to[60..], weights.Share.KvEnd);
    }

    private static WeightSlice ReadWeights(ReadOnlySpan<byte> from) => new(
        (TensorGroup)from[38],
        ReadLayers(from),
        new Share(
            BinaryPrimitives.ReadInt32LittleEndian(from[48..]),
            BinaryPrimitives.ReadInt32LittleEndian(from[52..]),
            BinaryPrimitives.ReadInt32LittleEndian(from[56..]),
            BinaryPrimitives.ReadInt32LittleEndian(from[60..]),
            from[39] != 0));

    private static void WritePages(Span<byte> to, PageRun pages)
    {
        to[36] = IsPages;
        WriteLayers(to, pages.Layers);
        BinaryPrimitives.WriteInt64LittleEndian(to[48..], pages.KvHeads.First);
        BinaryPrimitives.WriteInt64LittleEndian(to[56..], pages.KvHeads.End);
        BinaryPrimitives.WriteInt64LittleEndian(to[64..], pages.Epoch.Value);
    }

    private static PageRun ReadPages(ReadOnlySpan<byte> from, ImmutableArray<int> pages) => new(
        new Epoch(BinaryPrimitives.ReadInt64LittleEndian(from[64..])),
        ReadLayers(from),
        new AxisRange(
            BinaryPrimitives.ReadInt64LittleEndian(from[48..]), BinaryPrimitives.ReadInt64LittleEndian(from[56..])),
        pages);

    private static void WriteLayers(Span<byte> to, LayerRange layers)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to[40..], layers.First);
        BinaryPrimitives.WriteInt32LittleEndian(to[44..], layers.End);
    }

    private static LayerRange ReadLayers(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadInt32LittleEndian(from[40..]), BinaryPrimitives.ReadInt32LittleEndian(from[44..]));
}
