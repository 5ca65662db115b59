using System.Buffers.Binary;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.DataPlane;

/// <summary>What a frame's payload is.</summary>
public enum FrameKind : byte
{
    /// <summary>An encoded step plan (<see cref="StepPlanCodec"/>); the step is its StepId.</summary>
    Plan = 1,

    /// <summary>Hidden states of the step's tokens, [tokens, hidden].</summary>
    Activations = 2,

    /// <summary>Part of a collective operation; the step counts the rounds of the collective from 1.</summary>
    Partial = 3,

    /// <summary>Drawn tokens of the step, int32 each.</summary>
    Tokens = 4,
}

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

    /// <summary>Reads a header and compares it with what must come next.</summary>
    /// <returns>What is wrong with it, or null.</returns>
    public static string? Read(
        ReadOnlySpan<byte> from, FrameKind kind, Epoch epoch, long step, int payloadBytesMax, out int payloadBytes)
    {
        payloadBytes = 0;
        var magic = BinaryPrimitives.ReadUInt16LittleEndian(from);
        if (magic != Magic) return $"not a frame (it begins with 0x{magic:x4})";
        if (from[2] != (byte)kind) return $"a frame of kind {from[2]} where {kind} was due";
        if (from[3] != 0) return $"a frame with unknown flags {from[3]}";
        var length = BinaryPrimitives.ReadInt32LittleEndian(from[4..]);
        if (length < 0 || length > payloadBytesMax)
        {
            return $"a payload of {length} bytes; the limit is {payloadBytesMax}";
        }

        var sentEpoch = BinaryPrimitives.ReadInt64LittleEndian(from[8..]);
        if (sentEpoch != epoch.Value) return $"a frame of epoch e{sentEpoch} on a link of {epoch}";
        var sentStep = BinaryPrimitives.ReadInt64LittleEndian(from[16..]);
        if (sentStep != step) return $"step {sentStep} where {step} was due";
        payloadBytes = length;
        return null;
    }
}
