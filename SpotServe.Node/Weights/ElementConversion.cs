using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SpotServe.Node.Weights;

/// <summary>Converts runs of weights between number formats, vectorised for the pairs that checkpoints need.</summary>
internal static unsafe class ElementConversion
{
    /// <summary>Converts <paramref name="count"/> elements; source and destination do not overlap and need not be
    /// aligned. Rounds to nearest, ties to even.</summary>
    public static void Convert(void* source, ElementType from, void* destination, ElementType to, long count)
    {
        if (from == to)
        {
            Buffer.MemoryCopy(source, destination, count * to.Bytes(), count * to.Bytes());
            return;
        }

        switch (from, to)
        {
            case (ElementType.BFloat16, ElementType.Float32):
                BFloat16ToFloat32((ushort*)source, (float*)destination, count);
                break;
            case (ElementType.Float16, ElementType.Float32):
                Float16ToFloat32((ushort*)source, (float*)destination, count);
                break;
            case (ElementType.Float32, ElementType.BFloat16):
                Float32ToBFloat16((float*)source, (ushort*)destination, count);
                break;
            default:
                ThroughFloat32(source, from, destination, to, count);
                break;
        }
    }

    private static void BFloat16ToFloat32(ushort* source, float* destination, long count)
    {
        long i = 0;
        for (; i + Vector256<ushort>.Count <= count; i += Vector256<ushort>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(source + i));
            Vector256.Store(low << 16, (uint*)destination + i);
            Vector256.Store(high << 16, (uint*)destination + i + Vector256<uint>.Count);
        }

        for (; i < count; i++) destination[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
    }

    private static void Float16ToFloat32(ushort* source, float* destination, long count)
    {
        long i = 0;
        for (; i + Vector256<ushort>.Count <= count; i += Vector256<ushort>.Count)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(source + i));
            Vector256.Store(Widen(low), destination + i);
            Vector256.Store(Widen(high), destination + i + Vector256<uint>.Count);
        }

        for (; i < count; i++) destination[i] = (float)BitConverter.UInt16BitsToHalf(source[i]);

        // Exponent and fraction moved into float32's places are off by 2^112 in scale, subnormals too; an all-ones
        // exponent (infinity, NaN) must become all ones again.
        static Vector256<float> Widen(Vector256<uint> half)
        {
            var magnitude = (half & Vector256.Create(0x7FFFu)) << 13;
            var scaled = (magnitude.AsSingle() * Vector256.Create(0x77800000u).AsSingle()).AsUInt32();
            var special = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(0x0F800000u));
            var value = Vector256.ConditionalSelect(special, magnitude | Vector256.Create(0x7F800000u), scaled);
            return (value | ((half & Vector256.Create(0x8000u)) << 16)).AsSingle();
        }
    }

    private static void Float32ToBFloat16(float* source, ushort* destination, long count)
    {
        long i = 0;
        for (; i + Vector256<ushort>.Count <= count; i += Vector256<ushort>.Count)
        {
            var low = RoundToBFloat16(Vector256.Load((uint*)source + i));
            var high = RoundToBFloat16(Vector256.Load((uint*)source + i + Vector256<uint>.Count));
            Vector256.Store(Vector256.Narrow(low, high), destination + i);
        }

        for (; i < count; i++) destination[i] = ToBFloat16(source[i]);
    }

    /// <summary>Upper halves of floats, rounded to nearest even, in the low 16 bits of each element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> RoundToBFloat16(Vector256<uint> bits)
    {
        var odd = (bits >>> 16) & Vector256<uint>.One;
        var rounded = (bits + Vector256.Create(0x7FFFu) + odd) >>> 16;
        var isNumber = Vector256.Equals(bits.AsSingle(), bits.AsSingle()).AsUInt32();
        return Vector256.ConditionalSelect(isNumber, rounded, Vector256.Create(0x7FC0u));
    }

    /// <summary>Upper half of the float, rounded to nearest even; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ToBFloat16(float value)
    {
        if (float.IsNaN(value)) return 0x7FC0;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static void ThroughFloat32(void* source, ElementType from, void* destination, ElementType to, long count)
    {
        const int Block = 1024;
        var wide = stackalloc float[Block];
        for (long done = 0; done < count; done += Block)
        {
            var n = Math.Min(Block, count - done);
            Convert((byte*)source + (done * from.Bytes()), from, wide, ElementType.Float32, n);
            if (to == ElementType.BFloat16)
            {
                Float32ToBFloat16(wide, (ushort*)destination + done, n);
                continue;
            }

            for (var i = 0; i < n; i++)
                ((ushort*)destination)[done + i] = BitConverter.HalfToUInt16Bits((Half)wide[i]);
        }
    }
}
