using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>Matrix rows of a tile, from the inputs on that are multiplied next.</summary>
internal readonly unsafe ref struct WeightRows(byte* w0, byte* w1, byte* w2, byte* w3, byte* next)
{
    public byte* W0 { get; } = w0;

    public byte* W1 { get; } = w1;

    public byte* W2 { get; } = w2;

    /// <summary>Of tiles of four matrix rows.</summary>
    public byte* W3 { get; } = w3;

    /// <summary>As many weights that are read soon after, one behind the other in memory.</summary>
    public byte* Next { get; } = next;
}

/// <summary>
/// The innermost loops of products: a tile of the result in registers. Each element is summed in the sixteen lanes of
/// one vector, a block of 32 inputs after the other, first half and second half: always in this order, so that it does
/// not matter which of the loops computes it. Sums begin at zero or are taken from memory, and go there: [rows of
/// values, matrix rows of a group, 16].
/// </summary>
internal static unsafe class CpuProductTiles<T>
    where T : struct, ICpuWeight
{
    /// <summary>Matrix rows of a group: what tiles of three and of four have in common.</summary>
    public const int Group = 12;

    private const int Block = ICpuWeight.Block;

    private const int Lanes = 16;

    /// <summary>One matrix row with one row of values. Rows that lie one behind the other in memory are best read one
    /// after the other: the processor works ahead by itself, as long as it foresees where a row ends, and asking for
    /// what comes only holds it up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void One(byte* weights, float* values, int blocks, float* sum, bool begins)
    {
        var lanes = begins ? default : Vector512.Load(sum);
        for (; blocks >= 4; blocks -= 4, weights += 4 * Block * T.Bytes, values += 4 * Block)
        {
            lanes = Fold(weights, values, lanes);
            lanes = Fold(weights + (Block * T.Bytes), values + Block, lanes);
            lanes = Fold(weights + (2 * Block * T.Bytes), values + (2 * Block), lanes);
            lanes = Fold(weights + (3 * Block * T.Bytes), values + (3 * Block), lanes);
        }

        for (; blocks > 0; blocks--, weights += Block * T.Bytes, values += Block) lanes = Fold(weights, values, lanes);
        Vector512.Store(lanes, sum);
    }

    /// <summary>Four matrix rows with four rows of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Four(in WeightRows rows, float* values, int blocks, float* sums, bool begins)
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        Vector512<float> b0 = default, b1 = default, b2 = default, b3 = default;
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default;
        Vector512<float> d0 = default, d1 = default, d2 = default, d3 = default;
        if (!begins)
        {
            (a0, a1, a2, a3) = (At(sums, 0, 0), At(sums, 0, 1), At(sums, 0, 2), At(sums, 0, 3));
            (b0, b1, b2, b3) = (At(sums, 1, 0), At(sums, 1, 1), At(sums, 1, 2), At(sums, 1, 3));
            (c0, c1, c2, c3) = (At(sums, 2, 0), At(sums, 2, 1), At(sums, 2, 2), At(sums, 2, 3));
            (d0, d1, d2, d3) = (At(sums, 3, 0), At(sums, 3, 1), At(sums, 3, 2), At(sums, 3, 3));
        }

        byte* w0 = rows.W0, w1 = rows.W1, w2 = rows.W2, w3 = rows.W3;
        var next = rows.Next;
        for (; blocks > 0; blocks--, values += 4 * Block, next += 4 * Block * T.Bytes)
        {
            Ask(next, 4 * Block * T.Bytes);
            Vector512<float> v0 = T.First(w0), v1 = T.First(w1), v2 = T.First(w2), v3 = T.First(w3);
            var x = Vector512.Load(values);
            (a0, a1, a2, a3) = (Fold(v0, x, a0), Fold(v1, x, a1), Fold(v2, x, a2), Fold(v3, x, a3));
            x = Vector512.Load(values + 16);
            (b0, b1, b2, b3) = (Fold(v0, x, b0), Fold(v1, x, b1), Fold(v2, x, b2), Fold(v3, x, b3));
            x = Vector512.Load(values + 32);
            (c0, c1, c2, c3) = (Fold(v0, x, c0), Fold(v1, x, c1), Fold(v2, x, c2), Fold(v3, x, c3));
            x = Vector512.Load(values + 48);
            (d0, d1, d2, d3) = (Fold(v0, x, d0), Fold(v1, x, d1), Fold(v2, x, d2), Fold(v3, x, d3));
            (v0, v1, v2, v3) = (T.Second(w0), T.Second(w1), T.Second(w2), T.Second(w3));
            x = Vector512.Load(values + 64);
            (a0, a1, a2, a3) = (Fold(v0, x, a0), Fold(v1, x, a1), Fold(v2, x, a2), Fold(v3, x, a3));
            x = Vector512.Load(values + 80);
            (b0, b1, b2, b3) = (Fold(v0, x, b0), Fold(v1, x, b1), Fold(v2, x, b2), Fold(v3, x, b3));
            x = Vector512.Load(values + 96);
            (c0, c1, c2, c3) = (Fold(v0, x, c0), Fold(v1, x, c1), Fold(v2, x, c2), Fold(v3, x, c3));
            x = Vector512.Load(values + 112);
            (d0, d1, d2, d3) = (Fold(v0, x, d0), Fold(v1, x, d1), Fold(v2, x, d2), Fold(v3, x, d3));
            w0 += Block * T.Bytes;
            w1 += Block * T.Bytes;
            w2 += Block * T.Bytes;
            w3 += Block * T.Bytes;
        }

        Put(sums, 0, a0, a1, a2, a3);
        Put(sums, 1, b0, b1, b2, b3);
        Put(sums, 2, c0, c1, c2, c3);
        Put(sums, 3, d0, d1, d2, d3);
    }

    /// <summary>Three matrix rows with eight rows of values: 24 sums, which with three rows of weights and a vector of
    /// values nearly fill the 32 registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Eight(in WeightRows rows, float* values, int blocks, float* sums, bool begins)
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, b0 = default, b1 = default, b2 = default;
        Vector512<float> c0 = default, c1 = default, c2 = default, d0 = default, d1 = default, d2 = default;
        Vector512<float> e0 = default, e1 = default, e2 = default, f0 = default, f1 = default, f2 = default;
        Vector512<float> g0 = default, g1 = default, g2 = default, h0 = default, h1 = default, h2 = default;
        if (!begins)
        {
            (a0, a1, a2) = (At(sums, 0, 0), At(sums, 0, 1), At(sums, 0, 2));
            (b0, b1, b2) = (At(sums, 1, 0), At(sums, 1, 1), At(sums, 1, 2));
            (c0, c1, c2) = (At(sums, 2, 0), At(sums, 2, 1), At(sums, 2, 2));
            (d0, d1, d2) = (At(sums, 3, 0), At(sums, 3, 1), At(sums, 3, 2));
            (e0, e1, e2) = (At(sums, 4, 0), At(sums, 4, 1), At(sums, 4, 2));
            (f0, f1, f2) = (At(sums, 5, 0), At(sums, 5, 1), At(sums, 5, 2));
            (g0, g1, g2) = (At(sums, 6, 0), At(sums, 6, 1), At(sums, 6, 2));
            (h0, h1, h2) = (At(sums, 7, 0), At(sums, 7, 1), At(sums, 7, 2));
        }

        byte* w0 = rows.W0, w1 = rows.W1, w2 = rows.W2;
        var next = rows.Next;
        for (; blocks > 0; blocks--, values += 8 * Block, next += 3 * Block * T.Bytes)
        {
            Ask(next, 3 * Block * T.Bytes);
            Vector512<float> v0 = T.First(w0), v1 = T.First(w1), v2 = T.First(w2);
            var x = Vector512.Load(values);
            (a0, a1, a2) = (Fold(v0, x, a0), Fold(v1, x, a1), Fold(v2, x, a2));
            x = Vector512.Load(values + 16);
            (b0, b1, b2) = (Fold(v0, x, b0), Fold(v1, x, b1), Fold(v2, x, b2));
            x = Vector512.Load(values + 32);
            (c0, c1, c2) = (Fold(v0, x, c0), Fold(v1, x, c1), Fold(v2, x, c2));
            x = Vector512.Load(values + 48);
            (d0, d1, d2) = (Fold(v0, x, d0), Fold(v1, x, d1), Fold(v2, x, d2));
            x = Vector512.Load(values + 64);
            (e0, e1, e2) = (Fold(v0, x, e0), Fold(v1, x, e1), Fold(v2, x, e2));
            x = Vector512.Load(values + 80);
            (f0, f1, f2) = (Fold(v0, x, f0), Fold(v1, x, f1), Fold(v2, x, f2));
            x = Vector512.Load(values + 96);
            (g0, g1, g2) = (Fold(v0, x, g0), Fold(v1, x, g1), Fold(v2, x, g2));
            x = Vector512.Load(values + 112);
            (h0, h1, h2) = (Fold(v0, x, h0), Fold(v1, x, h1), Fold(v2, x, h2));
            (v0, v1, v2) = (T.Second(w0), T.Second(w1), T.Second(w2));
            x = Vector512.Load(values + 128);
            (a0, a1, a2) = (Fold(v0, x, a0), Fold(v1, x, a1), Fold(v2, x, a2));
            x = Vector512.Load(values + 144);
            (b0, b1, b2) = (Fold(v0, x, b0), Fold(v1, x, b1), Fold(v2, x, b2));
            x = Vector512.Load(values + 160);
            (c0, c1, c2) = (Fold(v0, x, c0), Fold(v1, x, c1), Fold(v2, x, c2));
            x = Vector512.Load(values + 176);
            (d0, d1, d2) = (Fold(v0, x, d0), Fold(v1, x, d1), Fold(v2, x, d2));
            x = Vector512.Load(values + 192);
            (e0, e1, e2) = (Fold(v0, x, e0), Fold(v1, x, e1), Fold(v2, x, e2));
            x = Vector512.Load(values + 208);
            (f0, f1, f2) = (Fold(v0, x, f0), Fold(v1, x, f1), Fold(v2, x, f2));
            x = Vector512.Load(values + 224);
            (g0, g1, g2) = (Fold(v0, x, g0), Fold(v1, x, g1), Fold(v2, x, g2));
            x = Vector512.Load(values + 240);
            (h0, h1, h2) = (Fold(v0, x, h0), Fold(v1, x, h1), Fold(v2, x, h2));
            w0 += Block * T.Bytes;
            w1 += Block * T.Bytes;
            w2 += Block * T.Bytes;
        }

        Put(sums, 0, a0, a1, a2);
        Put(sums, 1, b0, b1, b2);
        Put(sums, 2, c0, c1, c2);
        Put(sums, 3, d0, d1, d2);
        Put(sums, 4, e0, e1, e2);
        Put(sums, 5, f0, f1, f2);
        Put(sums, 6, g0, g1, g2);
        Put(sums, 7, h0, h1, h2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(byte* weights, float* values, Vector512<float> sum) =>
        Fold(T.Second(weights), Vector512.Load(values + Lanes), Fold(T.First(weights), Vector512.Load(values), sum));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(Vector512<float> weights, Vector512<float> values, Vector512<float> sum) =>
        Vector512.FusedMultiplyAdd(weights, values, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> At(float* sums, int row, int output) =>
        Vector512.Load(sums + (((row * Group) + output) * Lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(
        float* sums, int row, Vector512<float> lanes0, Vector512<float> lanes1, Vector512<float> lanes2)
    {
        sums += row * Group * Lanes;
        Vector512.Store(lanes0, sums);
        Vector512.Store(lanes1, sums + Lanes);
        Vector512.Store(lanes2, sums + (2 * Lanes));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(
        float* sums, int row, Vector512<float> lanes0, Vector512<float> lanes1, Vector512<float> lanes2,
        Vector512<float> lanes3)
    {
        Put(sums, row, lanes0, lanes1, lanes2);
        Vector512.Store(lanes3, sums + (((row * Group) + 3) * Lanes));
    }

    /// <summary>Asks memory for weights that are read soon: between so many multiplications the processor sees none of
    /// the reads that come.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Ask(byte* weights, int bytes)
    {
        for (var at = 0; at < bytes; at += 64) Sse.Prefetch0(weights + at);
    }
}
