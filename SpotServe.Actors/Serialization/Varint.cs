using System.Runtime.Serialization;

namespace SpotServe.Actors.Serialization;

/// <summary>Base-128 integers, low seven bits first. Negative numbers are allowed and take five bytes.</summary>
internal static class Varint
{
    /// <summary>Most bytes that one number takes.</summary>
    public const int BytesMax = 5;

    /// <summary>Writes the values one after the other.</summary>
    /// <param name="bytes">At least <see cref="BytesMax"/> for each value.</param>
    /// <returns>Bytes written.</returns>
    public static int Write(ReadOnlySpan<int> values, Span<byte> bytes)
    {
        Invariant.Holds(bytes.Length >= values.Length * (long)BytesMax);
        var at = 0;
        foreach (var value in values)
        {
            var rest = (uint)value;
            for (; rest >= 0x80; rest >>= 7) bytes[at++] = (byte)(rest | 0x80);
            bytes[at++] = (byte)rest;
        }

        return at;
    }

    /// <summary>Reads one number.</summary>
    /// <exception cref="SerializationException">The stream ends within it, or it has more than 32 bits.</exception>
    public static int Read(Stream stream)
    {
        uint value = 0;
        for (var shift = 0; shift < 7 * BytesMax; shift += 7)
        {
            var next = stream.ReadByte();
            if (next < 0) throw new SerializationException("The bytes end within a number.");
            if (shift == 28 && next > 0x0F) break;
            value |= (uint)(next & 0x7F) << shift;
            if (next < 0x80) return (int)value;
        }

        throw new SerializationException("A number has more than 32 bits.");
    }
}
