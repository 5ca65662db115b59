using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

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

            var left = shape.Rows;
            for (; left >= 4; left -= 4)
            {
                FourRows(shape, output, shape.Rows - left);
                FourRows(shape, output + 4, shape.Rows - left);
            }

            for (; left >= 1; left--) OneRow(shape, output, shape.Rows - left);
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
        for (var at = 0; at < end; at += Block, weights += Block * T.Bytes)
            sum = Fold(T.Load(weights), Load(values + at), sum);
        if (end < shape.Inputs) sum = Fold(T.Load(Rest(shape, output, rest)), Load(values + end), sum);
        Put(shape, output, row, sum);
    }

    /// <summary>Eight matrix rows with one row of values: fewer that are read side by side end too soon for the
    /// processor's prefetching, and leave it waiting.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow(in ProductShape shape, int output, int row)
    {
        Vector512<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        Vector512<float> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
        var weights = shape.Weights(output);
        var from = shape.Values(row);
        long stride = shape.RowBytes;
        var end = shape.WholeInputs;
        for (var at = 0; at < end; at += Block, weights += Block * T.Bytes)
        {
            var values = Load(from + at);
            sum0 = Fold(T.Load(weights), values, sum0);
            sum1 = Fold(T.Load(weights + stride), values, sum1);
            sum2 = Fold(T.Load(weights + (2 * stride)), values, sum2);
            sum3 = Fold(T.Load(weights + (3 * stride)), values, sum3);
            sum4 = Fold(T.Load(weights + (4 * stride)), values, sum4);
            sum5 = Fold(T.Load(weights + (5 * stride)), values, sum5);
            sum6 = Fold(T.Load(weights + (6 * stride)), values, sum6);
            sum7 = Fold(T.Load(weights + (7 * stride)), values, sum7);
        }

        if (end < shape.Inputs)
        {
            var rest = stackalloc byte[Block * sizeof(float)];
            var values = Load(from + end);
            sum0 = Fold(T.Load(Rest(shape, output, rest)), values, sum0);
            sum1 = Fold(T.Load(Rest(shape, output + 1, rest)), values, sum1);
            sum2 = Fold(T.Load(Rest(shape, output + 2, rest)), values, sum2);
            sum3 = Fold(T.Load(Rest(shape, output + 3, rest)), values, sum3);
            sum4 = Fold(T.Load(Rest(shape, output + 4, rest)), values, sum4);
            sum5 = Fold(T.Load(Rest(shape, output + 5, rest)), values, sum5);
            sum6 = Fold(T.Load(Rest(shape, output + 6, rest)), values, sum6);
            sum7 = Fold(T.Load(Rest(shape, output + 7, rest)), values, sum7);
        }

        Put(shape, output, row, sum0);
        Put(shape, output + 1, row, sum1);
        Put(shape, output + 2, row, sum2);
        Put(shape, output + 3, row, sum3);
        Put(shape, output + 4, row, sum4);
        Put(shape, output + 5, row, sum5);
        Put(shape, output + 6, row, sum6);
        Put(shape, output + 7, row, sum7);
    }

    /// <summary>Four matrix rows with four rows of values: as many sums as registers hold.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourRows(in ProductShape shape, int output, int row)
    {
        Vector512<float> sum00 = default, sum01 = default, sum02 = default, sum03 = default;
        Vector512<float> sum10 = default, sum11 = default, sum12 = default, sum13 = default;
        Vector512<float> sum20 = default, sum21 = default, sum22 = default, sum23 = default;
        Vector512<float> sum30 = default, sum31 = default, sum32 = default, sum33 = default;
        var weights = shape.Weights(output);
        float* from0 = shape.Values(row), from1 = shape.Values(row + 1);
        float* from2 = shape.Values(row + 2), from3 = shape.Values(row + 3);
        long stride = shape.RowBytes;
        var end = shape.WholeInputs;
        var rest = stackalloc byte[4 * Block * sizeof(float)];
        for (var at = 0; at < shape.Inputs; at += Block, weights += Block * T.Bytes)
        {
            if (at == end)
            {
                for (var i = 0; i < 4; i++) Rest(shape, output + i, rest + (i * Block * T.Bytes));
                weights = rest;
                stride = Block * T.Bytes;
            }

            var weights0 = T.Load(weights);
            var weights1 = T.Load(weights + stride);
            var weights2 = T.Load(weights + (2 * stride));
            var weights3 = T.Load(weights + (3 * stride));
            var values = Load(from0 + at);
            sum00 = Fold(weights0, values, sum00);
            sum01 = Fold(weights1, values, sum01);
            sum02 = Fold(weights2, values, sum02);
            sum03 = Fold(weights3, values, sum03);
            values = Load(from1 + at);
            sum10 = Fold(weights0, values, sum10);
            sum11 = Fold(weights1, values, sum11);
            sum12 = Fold(weights2, values, sum12);
            sum13 = Fold(weights3, values, sum13);
            values = Load(from2 + at);
            sum20 = Fold(weights0, values, sum20);
            sum21 = Fold(weights1, values, sum21);
            sum22 = Fold(weights2, values, sum22);
            sum23 = Fold(weights3, values, sum23);
            values = Load(from3 + at);
            sum30 = Fold(weights0, values, sum30);
            sum31 = Fold(weights1, values, sum31);
            sum32 = Fold(weights2, values, sum32);
            sum33 = Fold(weights3, values, sum33);
        }

        Put(shape, output, row, sum00);
        Put(shape, output + 1, row, sum01);
        Put(shape, output + 2, row, sum02);
        Put(shape, output + 3, row, sum03);
        Put(shape, output, row + 1, sum10);
        Put(shape, output + 1, row + 1, sum11);
        Put(shape, output + 2, row + 1, sum12);
        Put(shape, output + 3, row + 1, sum13);
        Put(shape, output, row + 2, sum20);
        Put(shape, output + 1, row + 2, sum21);
        Put(shape, output + 2, row + 2, sum22);
        Put(shape, output + 3, row + 2, sum23);
        Put(shape, output, row + 3, sum30);
        Put(shape, output + 1, row + 3, sum31);
        Put(shape, output + 2, row + 3, sum32);
        Put(shape, output + 3, row + 3, sum33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float> First, Vector512<float> Second) Load(float* values) =>
        (Vector512.Load(values), Vector512.Load(values + 16));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fold(
        (Vector512<float> First, Vector512<float> Second) weights,
        (Vector512<float> First, Vector512<float> Second) values, Vector512<float> sum) =>
        Vector512.FusedMultiplyAdd(
            weights.Second, values.Second, Vector512.FusedMultiplyAdd(weights.First, values.First, sum));

    /// <summary>A block of what lies behind a matrix row's last whole block, and zeros.</summary>
    private static byte* Rest(in ProductShape shape, int output, byte* block)
    {
        var end = shape.WholeInputs;
        Rest(shape.Weights(output) + ((long)end * T.Bytes), shape.Inputs - end, block);
        return block;
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
