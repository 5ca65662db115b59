using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
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
        if (!Vector512.IsHardwareAccelerated || !Avx512F.IsSupported) return null;
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
    /// <summary>Pieces of a product for each thread, so that one that the system held up leaves its rest to
    /// others.</summary>
    private const int PiecesEach = 4;

    private readonly ArrangedValues<T> _arranged = new();

    public override Tensor Multiply(Tensor values, Tensor weight, Tensor? bias)
    {
        var result = empty([values.shape[0], weight.shape[0]], weight.dtype);
        Run(result, values, weight, ProductStore.Weights);
        if (bias is not null) result.AddInPlace(bias);
        return result;
    }

    public override void MultiplyInto(Tensor sum, Tensor values, Tensor weight, bool adds) =>
        Run(sum, values, weight, adds ? ProductStore.Add : ProductStore.Set);

    public override void Dispose() => _arranged.Dispose();

    private void Run(Tensor result, Tensor values, Tensor weight, ProductStore store)
    {
        var (rows, inputs) = ((int)values.shape[0], (int)values.shape[1]);
        var shape = new ProductShape(
            rows, inputs, (int)weight.shape[0], weight.stride(0) * T.Bytes, (nint)TensorMemory.Pointer(weight),
            (nint)_arranged.Arrange(TensorMemory.Pointer(values), rows, inputs),
            (nint)TensorMemory.Pointer(result), store);
        var work = (long)shape.Rows * shape.Inputs * shape.Outputs;
        var groups = (shape.Outputs + CpuProductLoops<T>.Group - 1) / CpuProductLoops<T>.Group;
        if (workers.Count == 1 || work < parallelWorkMin)
        {
            CpuProductLoops<T>.Multiply(shape, 0, groups);
            return;
        }

        var pieces = Math.Min(groups, workers.Count * PiecesEach);
        workers.Run(pieces, piece => CpuProductLoops<T>.Multiply(
            shape, (int)((long)groups * piece / pieces), (int)((long)groups * (piece + 1) / pieces)));
    }
}
