using System.Numerics;
using System.Runtime.InteropServices;

namespace SpotServe.Actors.DataPlane;

/// <summary>Addition of vectors, the left operand first: all ranks do the same operations on the same bits.</summary>
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
}
