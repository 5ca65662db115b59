using SpotServe.Actors;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// The products of a prompt's chunk in bits that the number of ranks does not change. A rank's matrix is a part of the
/// whole one. So every rank uses the kernel that cuBLAS would choose for the whole, and what is summed over the ranks
/// is cut into <see cref="Leaves"/> parts of equal width, each summed by itself, and added in float32 as
/// (l0 + l1) + (l2 + l3): a rank of M adds its own leaves, and the ranks the rest of the same tree.
/// </summary>
/// <remarks>That a kernel sums an output in an order that does not depend on how many there are is seen, not promised:
/// <c>bench --verify</c> compares the bits of M = 1, 2 and 4. Where cuBLAS has no such kernel, libtorch's product
/// stands in, whose bits may depend on M.</remarks>
internal sealed unsafe class ChunkProducts : IDisposable
{
    /// <summary>Parts of a sum over the ranks; the most ranks whose bits are equal.</summary>
    public const int Leaves = 4;

    private readonly StageContext _stage;
    private readonly CudaStream _stream;
    private readonly ChunkKernels _kernels;
    private readonly CublasLt _cublas;
    private readonly Dictionary<ProductShape, ProductAlgorithm?> _known = [];

    /// <exception cref="KernelsUnavailableException">cuBLAS cannot be told which kernel to use.</exception>
    public ChunkProducts(StageContext stage, CudaStream stream, ChunkKernels kernels)
    {
        Invariant.Holds(IsFor(stage.RankCount));
        _stage = stage;
        _stream = stream;
        _kernels = kernels;
        _cublas = new CublasLt(stage.WeightType == ScalarType.Float16);
    }

    /// <summary>Whether so many ranks each have whole leaves.</summary>
    public static bool IsFor(int ranks) => Leaves % ranks == 0;

    /// <summary>A column-parallel product.</summary>
    /// <param name="values">[rows, input], contiguous.</param>
    /// <param name="weight">[this rank's outputs, input].</param>
    /// <param name="outputs">Of all ranks.</param>
    /// <returns>[rows, this rank's outputs], in the weight type.</returns>
    public Tensor Columns(Tensor values, Tensor weight, long outputs)
    {
        var (rows, width) = ((int)values.shape[0], (int)values.shape[1]);
        var whole = new ProductShape(rows, (int)outputs, width, width, 1, 0, IsWide: false);
        var result = empty([rows, weight.shape[0]], _stage.WeightType, _stage.Device);
        ProductShape[] shares =
            [whole with { Outputs = whole.Outputs / 2 }, whole with { Outputs = whole.Outputs / 4 }];
        var mine = whole with { Outputs = (int)weight.shape[0] };
        return Multiply(whole, shares, mine, values, weight, result) ? result : nn.functional.linear(values, weight);
    }

    /// <summary>A row-parallel product over this rank's leaves, added to float32 rows.</summary>
    /// <param name="values">[rows, this rank's input], contiguous.</param>
    /// <param name="weight">[outputs, this rank's input].</param>
    /// <param name="sum">[rows, outputs]; null makes new ones.</param>
    public Tensor Rows(Tensor values, Tensor weight, Tensor? sum)
    {
        var (rows, width, outputs) = ((int)values.shape[0], (int)values.shape[1], (int)weight.shape[0]);
        var leaves = Leaves / _stage.RankCount;
        var leaf = width / leaves;
        var mine = new ProductShape(rows, outputs, leaf, width, leaves, leaf, IsWide: true);
        var whole = mine with { InputStride = leaf * Leaves, Parts = Leaves };
        var parts = empty([leaves, rows, outputs], ScalarType.Float32, _stage.Device);
        ProductShape[] shares = [Share(2), Share(4)];
        if (!Multiply(whole, shares, mine, values, weight, parts))
        {
            for (var i = 0; i < leaves; i++)
            {
                var product = nn.functional.linear(values.narrow(1, i * leaf, leaf), weight.narrow(1, i * leaf, leaf));
                parts[i].copy_(product);
            }
        }

        if (sum is null && leaves == 1) return parts.view(rows, outputs);
        var into = sum ?? empty([rows, outputs], ScalarType.Float32, _stage.Device);
        _kernels.AddLeaves(parts, into, adds: sum is not null);
        return into;

        ProductShape Share(int ranks) => whole with { InputStride = whole.InputStride / ranks, Parts = Leaves / ranks };
    }

    public void Dispose() => _cublas.Dispose();

    /// <param name="whole">What one rank alone would compute: it decides on the kernel.</param>
    /// <param name="shares">What a rank of 2 and of 4 computes: every rank asks for all of them, and so for the same
    /// kernel.</param>
    /// <returns>False where cuBLAS has no kernel that can do it.</returns>
    private bool Multiply(
        in ProductShape whole, ReadOnlySpan<ProductShape> shares, in ProductShape mine, Tensor values, Tensor weight,
        Tensor result)
    {
        Invariant.Holds(values.is_contiguous() && weight.is_contiguous());
        if (!_known.TryGetValue(whole, out var algorithm))
        {
            algorithm = _cublas.Choose(whole, shares);
            _known.Add(whole, algorithm);
        }

        return algorithm is { } chosen
            && _cublas.Multiply(mine, chosen, Address(values), Address(weight), Address(result), _stream);
    }

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);
}
