using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>Where the elements of a product go.</summary>
internal enum ProductStore
{
    /// <summary>In the weight type, to a new place.</summary>
    Weights,

    /// <summary>In float32, to a new place.</summary>
    Set,

    /// <summary>In float32, on top of what is there.</summary>
    Add,
}

/// <summary>One product: sizes, and where its parts lie.</summary>
/// <param name="RowBytes">From one matrix row to the next.</param>
/// <param name="Arranged">[rows, inputs filled up to whole blocks] in float32.</param>
internal readonly unsafe record struct ProductShape(
    int Rows, int Inputs, int Outputs, long RowBytes, nint Matrix, nint Arranged, nint Target, ProductStore Store)
{
    /// <summary>Inputs of whole blocks.</summary>
    public int WholeInputs => Inputs / ICpuWeight.Block * ICpuWeight.Block;

    /// <summary>Floats of an arranged row of values.</summary>
    private int ArrangedWidth => (Inputs + ICpuWeight.Block - 1) / ICpuWeight.Block * ICpuWeight.Block;

    public byte* Weights(int output) => (byte*)Matrix + (output * RowBytes);

    public float* Values(int row) => (float*)Arranged + ((long)row * ArrangedWidth);
}

/// <summary>The loops of <see cref="CpuProducts{T}"/>. All sum in the same order, a block of 32 after the other in the
/// sixteen lanes of one vector, so that it does not matter which of them computes an element.</summary>
internal static unsafe class CpuProductLoops<T>
    where T : struct, ICpuWeight
{
    /// <summary>Matrix rows of a group.</summary>
    public const int Side = 8;

    private const int Block = ICpuWeight.Block;

    /// <summary>A block of the last <paramref name="count"/> elements of a row and zeros.</summary>
    public static void Rest(byte* source, int count, byte* block)
    {
        Unsafe.InitBlock(block, 0, Block * sizeof(float));
        Unsafe.CopyBlockUnaligned(block, source, (uint)(count * T.Bytes));
    }

    /// <summary>Groups [first, end) of matrix rows with all rows of values.</summary>
    public static void Multiply(in ProductShape shape, int first, int end)
    {
        for (var group = first; group < end; group++)
        {
            var output = group * Side;
            if (shape.Outputs - output < Side)
            {
                for (; output < shape.Outputs; output++)
                {
                    for (var row = 0; row < shape.Rows; row++) One(shape, output, row);
                }

                return;
            }

            // The first to read a group asks for the next one.
            var row0 = 0;
            for (; shape.Rows - row0 >= 8; row0 += 8)
            {
                for (var part = 0; part < Side; part += 2) EightRows(shape, output + part, row0, asks: row0 == 0);
            }

            for (; shape.Rows - row0 >= 4; row0 += 4)
            {
                for (var part = 0; part < Side; part += 4) FourRows(shape, output + part, row0, asks: row0 == 0);
            }

            for (; row0 < shape.Rows; row0++) OneRow(shape, output, row0, asks: row0 == 0);
        }
    }

    // The loops are compiled at once, because the first tokens are waited for.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One(in ProductShape shape, int output, int row)
    {
        Vector512<float> sum = default;
        var end = shape.WholeInputs;
        var rest = stackalloc byte[Block * sizeof(float)];
        var weights = shape.Weights(output);
        var values = shape.Values(row);
        for (var at = 0; at < end; at += Block, weights += Block * T.Bytes) sum = Fold(weights, values + at, sum);
        if (end < shape.Inputs) sum = Fold(Rest(shape, output, rest), values + end, sum);
        Put(shape, output, row, sum);
    }

    /// <summary>Eight matrix rows with one row of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow(in ProductShape shape, int output, int row, bool asks)
    {
        Vector512<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        Vector512<float> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
        var weights = shape.Weights(output);
        var from = shape.Values(row);
        long stride = shape.RowBytes, step = stride;
        var rest = stackalloc byte[8 * Block * sizeof(float)];
        for (var at = 0; at < shape.Inputs; at += Block, weights += Block * T.Bytes)
        {
            if (asks) Ask(weights + (Side * stride), stride, 8);
            if (at == shape.WholeInputs)
            {
                weights = Rests(shape, output, 8, rest);
                step = Block * T.Bytes;
            }

            var first = Vector512.Load(from + at);
            var second = Vector512.Load(from + at + 16);
            sum0 = Fold(weights, first, second, sum0);
            sum1 = Fold(weights + step, first, second, sum1);
            sum2 = Fold(weights + (2 * step), first, second, sum2);
            sum3 = Fold(weights + (3 * step), first, second, sum3);
            sum4 = Fold(weights + (4 * step), first, second, sum4);
            sum5 = Fold(weights + (5 * step), first, second, sum5);
            sum6 = Fold(weights + (6 * step), first, second, sum6);
            sum7 = Fold(weights + (7 * step), first, second, sum7);
        }

        Put(shape, output, row, sum0, sum1, sum2, sum3);
        Put(shape, output + 4, row, sum4, sum5, sum6, sum7);
    }

    /// <summary>Four matrix rows with four rows of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourRows(in ProductShape shape, int output, int row, bool asks)
    {
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default;
        Vector512<float> s30 = default, s31 = default, s32 = default, s33 = default;
        var weights = shape.Weights(output);
        float* from0 = shape.Values(row), from1 = shape.Values(row + 1);
        float* from2 = shape.Values(row + 2), from3 = shape.Values(row + 3);
        long stride = shape.RowBytes, step = stride;
        var rest = stackalloc byte[4 * Block * sizeof(float)];
        for (var at = 0; at < shape.Inputs; at += Block, weights += Block * T.Bytes)
        {
            if (asks) Ask(weights + (Side * stride), stride, 4);
            if (at == shape.WholeInputs)
            {
                weights = Rests(shape, output, 4, rest);
                step = Block * T.Bytes;
            }

            Vector512<float> even0 = T.First(weights), odd0 = T.Second(weights);
            Vector512<float> even1 = T.First(weights + step), odd1 = T.Second(weights + step);
            Vector512<float> even2 = T.First(weights + (2 * step)), odd2 = T.Second(weights + (2 * step));
            Vector512<float> even3 = T.First(weights + (3 * step)), odd3 = T.Second(weights + (3 * step));
            Vector512<float> first, second;
            (first, second) = (Vector512.Load(from0 + at), Vector512.Load(from0 + at + 16));
            s00 = Fold(even0, odd0, first, second, s00);
            s01 = Fold(even1, odd1, first, second, s01);
            s02 = Fold(even2, odd2, first, second, s02);
            s03 = Fold(even3, odd3, first, second, s03);
            (first, second) = (Vector512.Load(from1 + at), Vector512.Load(from1 + at + 16));
            s10 = Fold(even0, odd0, first, second, s10);
            s11 = Fold(even1, odd1, first, second, s11);
            s12 = Fold(even2, odd2, first, second, s12);
            s13 = Fold(even3, odd3, first, second, s13);
            (first, second) = (Vector512.Load(from2 + at), Vector512.Load(from2 + at + 16));
            s20 = Fold(even0, odd0, first, second, s20);
            s21 = Fold(even1, odd1, first, second, s21);
            s22 = Fold(even2, odd2, first, second, s22);
            s23 = Fold(even3, odd3, first, second, s23);
            (first, second) = (Vector512.Load(from3 + at), Vector512.Load(from3 + at + 16));
            s30 = Fold(even0, odd0, first, second, s30);
            s31 = Fold(even1, odd1, first, second, s31);
            s32 = Fold(even2, odd2, first, second, s32);
            s33 = Fold(even3, odd3, first, second, s33);
        }

        Put(shape, output, row, s00, s01, s02, s03);
        Put(shape, output, row + 1, s10, s11, s12, s13);
        Put(shape, output, row + 2, s20, s21, s22, s23);
        Put(shape, output, row + 3, s30, s31, s32, s33);
    }

    /// <summary>Two matrix rows with eight rows of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EightRows(in ProductShape shape, int output, int row, bool asks)
    {
        Vector512<float> s00 = default, s01 = default, s10 = default, s11 = default;
        Vector512<float> s20 = default, s21 = default, s30 = default, s31 = default;
        Vector512<float> s40 = default, s41 = default, s50 = default, s51 = default;
        Vector512<float> s60 = default, s61 = default, s70 = default, s71 = default;
        var weights = shape.Weights(output);
        float* from0 = shape.Values(row), from1 = shape.Values(row + 1);
        float* from2 = shape.Values(row + 2), from3 = shape.Values(row + 3);
        float* from4 = shape.Values(row + 4), from5 = shape.Values(row + 5);
        float* from6 = shape.Values(row + 6), from7 = shape.Values(row + 7);
        long stride = shape.RowBytes, step = stride;
        var rest = stackalloc byte[2 * Block * sizeof(float)];
        for (var at = 0; at < shape.Inputs; at += Block, weights += Block * T.Bytes)
        {
            if (asks) Ask(weights + (Side * stride), stride, 2);
            if (at == shape.WholeInputs)
            {
                weights = Rests(shape, output, 2, rest);
                step = Block * T.Bytes;
            }

            Vector512<float> even0 = T.First(weights), odd0 = T.Second(weights);
            Vector512<float> even1 = T.First(weights + step), odd1 = T.Second(weights + step);
            Vector512<float> first, second;
            (first, second) = (Vector512.Load(from0 + at), Vector512.Load(from0 + at + 16));
            s00 = Fold(even0, odd0, first, second, s00);
            s01 = Fold(even1, odd1, first, second, s01);
            (first, second) = (Vector512.Load(from1 + at), Vector512.Load(from1 + at + 16));
            s10 = Fold(even0, odd0, first, second, s10);
            s11 = Fold(even1, odd1, first, second, s11);
            (first, second) = (Vector512.Load(from2 + at), Vector512.Load(from2 + at + 16));
            s20 = Fold(even0, odd0, first, second, s20);
            s21 = Fold(even1, odd1, first, second, s21);
            (first, second) = (Vector512.Load(from3 + at), Vector512.Load(from3 + at + 16));
            s30 = Fold(even0, odd0, first, second, s30);
            s31 = Fold(even1, odd1, first, second, s31);
            (first, second) = (Vector512.Load(from4 + at), Vector512.Load(from4 + at + 16));
            s40 = Fold(even0, odd0, first, second, s40);
            s41 = Fold(even1, odd1, first, second, s41);
            (first, second) = (Vector512.Load(from5 + at), Vector512.Load(from5 + at + 16));
            s50 = Fold(even0, odd0, first, second, s50);
            s51 = Fold(even1, odd1, first, second, s51);
            (first, second) = (Vector512.Load(from6 + at), Vector512.Load(from6 + at + 16));
            s60 = Fold(even0, odd0, first, second, s60);
            s61 = Fold(even1, odd1, first, second, s61);
            (first, second) = (Vector512.Load(from7 + at), Vector512.Load(from7 + at + 16));
            s70 = Fold(even0, odd0, first, second, s70);
            s71 = Fold(even1, odd1, first, second, s71);
        }

        Put(shape, output, row, s00, s01);
        Put(shape, output, row + 1, s10, s11);
        Put(shape, output, row + 2, s20, s21);
        Put(shape, output, row + 3, s30, s31);
        Put(shape, output, row + 4, s40, s41);
        Put(shape, output, row + 5, s50, s51);
        Put(shape, output, row + 6, s60, s61);
        Put(shape, output, row + 7, s70, s71);
    }

    /// <summary>Asks memory for a block of rows that are read later. Rows are short beside what is under way from it
    /// at a time, and the processor's own prefetching begins anew with each: without this, bfloat16 rows of 768 are
    /// read at two thirds of memory's rate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Ask(byte* weights, long stride, int rows)
    {
        for (var row = 0; row < rows; row++, weights += stride)
        {
            Sse.Prefetch1(weights);
            if (T.Bytes * Block > 64) Sse.Prefetch1(weights + 64);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(byte* weights, float* values, Vector512<float> sum) =>
        Fold(weights, Vector512.Load(values), Vector512.Load(values + 16), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(
        byte* weights, Vector512<float> first, Vector512<float> second, Vector512<float> sum) =>
        Fold(T.First(weights), T.Second(weights), first, second, sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(
        Vector512<float> even, Vector512<float> odd, Vector512<float> first, Vector512<float> second,
        Vector512<float> sum) =>
        Vector512.FusedMultiplyAdd(odd, second, Vector512.FusedMultiplyAdd(even, first, sum));

    /// <summary>Blocks of what lies behind the last whole block of some matrix rows, one behind the other.</summary>
    private static byte* Rests(in ProductShape shape, int output, int rows, byte* blocks)
    {
        for (var i = 0; i < rows; i++) Rest(shape, output + i, blocks + (i * Block * T.Bytes));
        return blocks;
    }

    /// <summary>A block of what lies behind a matrix row's last whole block, and zeros.</summary>
    private static byte* Rest(in ProductShape shape, int output, byte* block)
    {
        var end = shape.WholeInputs;
        Rest(shape.Weights(output) + ((long)end * T.Bytes), shape.Inputs - end, block);
        return block;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(
        in ProductShape shape, int output, int row, Vector512<float> sum0, Vector512<float> sum1,
        Vector512<float> sum2, Vector512<float> sum3)
    {
        Put(shape, output, row, sum0, sum1);
        Put(shape, output + 2, row, sum2, sum3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(
        in ProductShape shape, int output, int row, Vector512<float> sum0, Vector512<float> sum1)
    {
        Put(shape, output, row, sum0);
        Put(shape, output + 1, row, sum1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(in ProductShape shape, int output, int row, Vector512<float> lanes)
    {
        var at = ((long)row * shape.Outputs) + output;
        var sum = Vector512.Sum(lanes);
        if (shape.Store == ProductStore.Weights) T.Write((void*)shape.Target, at, sum);
        else if (shape.Store == ProductStore.Set) ((float*)shape.Target)[at] = sum;
        else ((float*)shape.Target)[at] += sum;
    }
}
