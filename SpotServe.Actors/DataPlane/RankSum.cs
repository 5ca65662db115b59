using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Sums over ranks. They are always the same binary tree, ((r0 + r1) + (r2 + r3)) + ..: ranks that share a number of
/// segments between them then add what one rank adds that has them all, bit by bit.
/// </summary>
internal static class RankSum
{
    /// <param name="into">As long as both; may be one of them.</param>
    public static void Add(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> into)
    {
        Invariant.Holds(left.Length == into.Length && right.Length == into.Length);
        var lefts = MemoryMarshal.Cast<float, Vector<float>>(left);
        var rights = MemoryMarshal.Cast<float, Vector<float>>(right);
        var sums = MemoryMarshal.Cast<float, Vector<float>>(into);
        for (var i = 0; i < sums.Length; i++) sums[i] = lefts[i] + rights[i];
        for (var i = sums.Length * Vector<float>.Count; i < into.Length; i++) into[i] = left[i] + right[i];
    }

    /// <summary>Ranks [0, count) are two halves of the tree: those below this one, and the rest.</summary>
    public static int Middle(int count) => (int)BitOperations.RoundUpToPowerOf2((uint)count) / 2;

    /// <summary>Sum of the vectors at one place.</summary>
    /// <param name="values">Of each rank, from the first on.</param>
    public static unsafe Vector<float> VectorAt(float** values, int count, int at)
    {
        if (count == 1) return Unsafe.ReadUnaligned<Vector<float>>(values[0] + at);
        if (count == 2)
        {
            return Unsafe.ReadUnaligned<Vector<float>>(values[0] + at)
                + Unsafe.ReadUnaligned<Vector<float>>(values[1] + at);
        }

        var middle = Middle(count);
        return VectorAt(values, middle, at) + VectorAt(values + middle, count - middle, at);
    }

    /// <summary>The same for a single number.</summary>
    public static unsafe float NumberAt(float** values, int count, int at)
    {
        if (count == 1) return values[0][at];
        var middle = Middle(count);
        return NumberAt(values, middle, at) + NumberAt(values + middle, count - middle, at);
    }
}
