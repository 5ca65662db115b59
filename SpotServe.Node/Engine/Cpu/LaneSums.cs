using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>Adds the lanes of sixteen vectors up at once. Lanes i and i + 8 are added first, then i and i + 4, i + 2
/// and i + 1, whichever of the sixteen a vector is.</summary>
internal static unsafe class LaneSums
{
    private const int Lanes = 16;

    /// <param name="vectors">[16, 16].</param>
    /// <param name="sums">[16].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Of16(float* vectors, float* sums)
    {
        // What a step adds of one vector lies beside what it adds of the next, so that the last step has them in
        // order.
        var left = Quarter(vectors);
        var right = Quarter(vectors + (2 * Lanes));
        Vector512.Store(Avx512F.Shuffle(left, right, 0x88) + Avx512F.Shuffle(left, right, 0xDD), sums);
    }

    /// <summary>Vectors 0, 4, 8, 12 and 1, 5, 9, 13, two sums of each left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Quarter(float* vectors)
    {
        var even = Fourth(vectors).AsDouble();
        var odd = Fourth(vectors + Lanes).AsDouble();
        return Avx512F.UnpackLow(even, odd).AsSingle() + Avx512F.UnpackHigh(even, odd).AsSingle();
    }

    /// <summary>Vectors 0, 4, 8, 12, four sums of each left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fourth(float* vectors)
    {
        var first = Half(vectors);
        var last = Half(vectors + (8 * Lanes));
        return Avx512F.Shuffle4x128(first, last, 0x88) + Avx512F.Shuffle4x128(first, last, 0xDD);
    }

    /// <summary>Vectors 0 and 4, eight sums of each left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Half(float* vectors)
    {
        var first = Vector512.Load(vectors);
        var last = Vector512.Load(vectors + (4 * Lanes));
        return Avx512F.Shuffle4x128(first, last, 0x44) + Avx512F.Shuffle4x128(first, last, 0xEE);
    }
}
