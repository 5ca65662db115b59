using System.Buffers.Binary;

namespace SpotServe.Actors.DataPlane;

/// <summary>What a frame's payload is.</summary>
public enum FrameKind : byte
{
    /// <summary>An encoded step plan (<see cref="StepPlanCodec"/>); the step is its StepId.</summary>
    Plan = 1,

    /// <summary>Hidden states of the step's tokens, [tokens, hidden].</summary>
    Activations = 2,

    /// <summary>Part of a collective operation; the step is the plan's, times 2^24, and the round within it, from
    /// 1.</summary>
    Partial = 3,

    /// <summary>Drawn tokens of the step, int32 each.</summary>
    Tokens = 4,

    /// <summary>In place of what was due of the step: it failed (<see cref="StepFailureCodec"/>), the link goes
    /// on.</summary>
    StepFailed = 5,
}

/// <summary>What a frame's header says.</summary>
public readonly record struct FrameInfo(FrameKind Kind, long Step, int PayloadBytes);

/// <summary>The 24 bytes before every payload, little-endian: magic, kind, flags (0), length, epoch, step.</summary>
internal readonly record struct FrameHeader(FrameKind Kind, int PayloadBytes, Epoch Epoch, long Step)
{
    public const int Bytes = 24;

    private const ushort Magic = 0x5353;

    public void Write(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(into, Magic);
        into[2] = (byte)Kind;
        into[3] = 0;
        BinaryPrimitives.WriteInt32LittleEndian(into[4..], PayloadBytes);
        BinaryPrimitives.WriteInt64LittleEndian(into[8..], Epoch.Value);
        BinaryPrimitives.WriteInt64LittleEndian(into[16..], Step);
    }

    /// <summary>Reads a header of a link of <paramref name="epoch"/>.</summary>
    /// <returns>What is wrong with it, or null.</returns>
    public static string? Read(ReadOnlySpan<byte> from, Epoch epoch, out FrameInfo frame)
    {
        frame = default;
        var magic = BinaryPrimitives.ReadUInt16LittleEndian(from);
        if (magic != Magic) return $"not a frame (it begins with 0x{magic:x4})";
        if (from[3] != 0) return $"a frame with unknown flags {from[3]}";
        var sentEpoch = BinaryPrimitives.ReadInt64LittleEndian(from[8..]);
        if (sentEpoch != epoch.Value) return $"a frame of epoch e{sentEpoch} on a link of {epoch}";
        frame = new FrameInfo(
            (FrameKind)from[2],
            BinaryPrimitives.ReadInt64LittleEndian(from[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(from[4..]));
        return null;
    }
}
