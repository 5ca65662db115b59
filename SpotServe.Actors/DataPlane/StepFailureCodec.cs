using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// A step's failure as bytes: reason and trace, count of faults, then chunk and reason of each. A text is its length in
/// 2 bytes and UTF-8, cut at its limit; numbers are 4 bytes, little-endian.
/// </summary>
internal static class StepFailureCodec
{
    /// <summary>Longest reason that travels.</summary>
    public const int TextBytesMax = 400;

    /// <summary>Longest trace that travels.</summary>
    private const int TraceBytesMax = 1600;

    private const int HeadBytes = sizeof(ushort) + sizeof(ushort) + TraceBytesMax + sizeof(int);
    private const int FaultBytes = sizeof(int) + sizeof(ushort);

    /// <summary>Longest encoded failure of a step with so many chunks.</summary>
    public static int BytesMax(int chunksMax) =>
        checked(HeadBytes + TextBytesMax + (chunksMax * (FaultBytes + TextBytesMax)));

    public static byte[] Encode(StepFailure failure)
    {
        using var stream = new MemoryStream();
        Span<byte> number = stackalloc byte[sizeof(int)];
        Write(stream, failure.Reason, TextBytesMax);
        Write(stream, failure.Trace, TraceBytesMax);
        BinaryPrimitives.WriteInt32LittleEndian(number, failure.Faults.Length);
        stream.Write(number);
        foreach (var fault in failure.Faults)
        {
            BinaryPrimitives.WriteInt32LittleEndian(number, fault.Chunk);
            stream.Write(number);
            Write(stream, fault.Reason, TextBytesMax);
        }

        return stream.ToArray();
    }

    /// <param name="chunkCount">Chunks of the step: faults name these.</param>
    /// <returns>The failure; null when the bytes are none of such a step.</returns>
    public static StepFailure? Decode(ReadOnlySpan<byte> from, int chunkCount)
    {
        if (!TryReadText(ref from, TextBytesMax, out var reason)) return null;
        if (!TryReadText(ref from, TraceBytesMax, out var trace) || from.Length < sizeof(int)) return null;
        var count = BinaryPrimitives.ReadInt32LittleEndian(from);
        from = from[sizeof(int)..];
        if (count < 0 || count > chunkCount) return null;
        var faults = ImmutableArray.CreateBuilder<ChunkFault>(count);
        for (var i = 0; i < count; i++)
        {
            if (from.Length < sizeof(int)) return null;
            var chunk = BinaryPrimitives.ReadInt32LittleEndian(from);
            from = from[sizeof(int)..];
            if (chunk < 0 || chunk >= chunkCount || !TryReadText(ref from, TextBytesMax, out var what)) return null;
            faults.Add(new ChunkFault(chunk, what));
        }

        return from.IsEmpty ? new StepFailure(reason, faults.MoveToImmutable()) { Trace = trace } : null;
    }

    private static void Write(MemoryStream stream, string text, int bytesMax)
    {
        Span<byte> bytes = stackalloc byte[bytesMax];
        // Whole characters only: what does not fit is left out.
        Encoding.UTF8.GetEncoder().Convert(text, bytes, flush: true, out _, out var length, out _);
        Span<byte> prefix = stackalloc byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16LittleEndian(prefix, (ushort)length);
        stream.Write(prefix);
        stream.Write(bytes[..length]);
    }

    private static bool TryReadText(ref ReadOnlySpan<byte> from, int bytesMax, out string text)
    {
        text = "";
        if (from.Length < sizeof(ushort)) return false;
        var length = BinaryPrimitives.ReadUInt16LittleEndian(from);
        if (length > bytesMax || length > from.Length - sizeof(ushort)) return false;
        text = Encoding.UTF8.GetString(from.Slice(sizeof(ushort), length));
        from = from[(sizeof(ushort) + length)..];
        return true;
    }
}
