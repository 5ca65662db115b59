using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>
/// Products of few rows with large matrices, as decoding makes them. Each weight is read from memory once, which is
/// what such a product costs; libtorch's reach a quarter to a half of the memory's rate. Every element of a result is
/// summed in an order that depends on the matrix's width alone: neither the number of rows nor that of threads changes
/// a bit. One step at a time.
/// </summary>
internal abstract unsafe class CpuProducts : IDisposable
{
    /// <summary>With more rows the weights are no longer what a product waits for, and libtorch's blocked products are
    /// faster.</summary>
    public const int RowsMax = 16;

    /// <summary>Multiplications below which another thread is not worth telling: some 20 microseconds.</summary>
    private const long ParallelWorkMin = 1 << 19;

    /// <summary>Products for a type of weights, or null where libtorch's must do.</summary>
    /// <param name="parallelWorkMin">Multiplications from which a product is shared by all workers.</param>
    public static CpuProducts? For(
        ScalarType weightType, CpuWorkers workers, long parallelWorkMin = ParallelWorkMin)
    {
        if (!Vector512.IsHardwareAccelerated) return null;
        return weightType switch
        {
            ScalarType.Float32 => new CpuProducts<Float32Weight>(workers, parallelWorkMin),
            ScalarType.BFloat16 => new CpuProducts<BFloat16Weight>(workers, parallelWorkMin),
            _ => null,
        };
    }

    /// <summary>Whether these products do it, and do it faster.</summary>
    /// <param name="values">[rows, input].</param>
    /// <param name="weight">[outputs, input].</param>
    public static bool Knows(Tensor values, Tensor weight) =>
        values.dim() == 2 && values.shape[0] <= RowsMax && weight.stride(1) == 1 && values.is_contiguous();

    /// <summary>values x weight^T + bias, as a new tensor [rows, outputs] of the weight type.</summary>
    public abstract Tensor Multiply(Tensor values, Tensor weight, Tensor? bias);

    /// <summary>values x weight^T in float32, set in or added to <paramref name="sum"/>, [rows, outputs],
    /// contiguous.</summary>
    public abstract void MultiplyInto(Tensor sum, Tensor values, Tensor weight, bool adds);

    public abstract void Dispose();
}

internal sealed unsafe class CpuProducts<T>(CpuWorkers workers, long parallelWorkMin) : CpuProducts
    where T : struct, ICpuWeight
{
    private const int Block = ICpuWeight.Block;

    /// <summary>Pieces of a product for each thread, so that one that the system held up leaves its rest to
    /// others.</summary>
    private const int PiecesEach = 4;

    private float* _arranged;
    private long _capacity;

    public override Tensor Multiply(Tensor values, Tensor weight, Tensor? bias)
    {
        var result = empty([values.shape[0], weight.shape[0]], weight.dtype);
        Run(result, values, weight, ProductStore.Weights);
        if (bias is not null) result.AddInPlace(bias);
        return result;
    }

    public override void MultiplyInto(Tensor sum, Tensor values, Tensor weight, bool adds) =>
        Run(sum, values, weight, adds ? ProductStore.Add : ProductStore.Set);

    public override void Dispose()
    {
        NativeMemory.AlignedFree(_arranged);
        _arranged = null;
        _capacity = 0;
    }

    private void Run(Tensor result, Tensor values, Tensor weight, ProductStore store)
    {
        var shape = new ProductShape(
            (int)values.shape[0], (int)weight.shape[1], (int)weight.shape[0], weight.stride(0) * T.Bytes,
            (nint)TensorMemory.Pointer(weight), (nint)Arrange(values), (nint)TensorMemory.Pointer(result), store);
        var work = (long)shape.Rows * shape.Inputs * shape.Outputs;
        var groups = (shape.Outputs + CpuProductLoops<T>.Side - 1) / CpuProductLoops<T>.Side;
        if (workers.Count == 1 || work < parallelWorkMin)
        {
            CpuProductLoops<T>.Multiply(shape, 0, groups);
            return;
        }

        var pieces = Math.Min(groups, workers.Count * PiecesEach);
        workers.Run(pieces, piece => CpuProductLoops<T>.Multiply(
            shape, (int)((long)groups * piece / pieces), (int)((long)groups * (piece + 1) / pieces)));
    }

    /// <summary>The rows of values in the order in which weights are read, each filled up with zeros to whole
    /// blocks.</summary>
    private float* Arrange(Tensor values)
    {
        int rows = (int)values.shape[0], inputs = (int)values.shape[1], width = (inputs + Block - 1) / Block * Block;
        if ((long)rows * width > _capacity)
        {
            _capacity = (long)rows * width;
            _arranged = (float*)NativeMemory.AlignedRealloc(_arranged, (nuint)(_capacity * sizeof(float)), 64);
        }

        var from = (byte*)TensorMemory.Pointer(values);
        for (var row = 0; row < rows; row++)
        {
            for (var at = 0; at < width; at += Block)
            {
                var to = _arranged + ((long)row * width) + at;
                var source = from + ((((long)row * inputs) + at) * T.Bytes);
                if (inputs - at >= Block) T.Arrange(source, to);
                else ArrangeRest(source, inputs - at, to);
            }
        }

        return _arranged;
    }

    private static void ArrangeRest(byte* source, int count, float* to)
    {
        var rest = stackalloc byte[Block * sizeof(float)];
        CpuProductLoops<T>.Rest(source, count, rest);
        T.Arrange(rest, to);
    }
}
