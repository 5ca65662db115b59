using SpotServe.Actors;
using SpotServe.Node.Engine.Cpu;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>Column-parallel product: each rank computes its own outputs; nothing is exchanged.</summary>
internal sealed class ColumnLinear(StageContext stage, Tensor weight, Tensor? bias = null)
{
    /// <summary>[this rank's outputs, input].</summary>
    public Tensor Weight => weight;

    public Tensor? Bias => bias;

    /// <summary>[rows, input] to [rows, this rank's outputs], in the weight type.</summary>
    public Tensor Apply(Tensor values) => stage.Products is { } products && CpuProducts.Knows(values, weight)
        ? products.Multiply(values, weight, bias)
        : nn.functional.linear(values, weight, bias);

    /// <summary>The same in float32, as it was summed where that is known.</summary>
    public Tensor ApplyWide(Tensor values)
    {
        if (stage.Products is not { } products || bias is not null || !CpuProducts.Knows(values, weight))
            return Apply(values).to(ScalarType.Float32);
        var result = empty([values.shape[0], weight.shape[0]], ScalarType.Float32);
        products.MultiplyInto(result, values, weight, adds: false);
        return result;
    }
}

/// <summary>Row-parallel product: each rank multiplies its part of the input; the partial sums are added over the
/// ranks in float32, then to the residual stream.</summary>
/// <param name="bias">float32, on rank 0 only: it is added once.</param>
/// <param name="norm">Applied to the sum before it is added to the stream; null for none.</param>
/// <param name="multiplier">What the sum is multiplied by before it is added.</param>
internal sealed class RowLinear(
    StageContext stage, Tensor weight, Tensor? bias = null, INormalization? norm = null, double multiplier = 1)
{
    /// <summary>Whether the sum is added as it is, so that a fused kernel can do it.</summary>
    public bool IsPlain => norm is null && multiplier == 1;

    /// <summary>[hidden, this rank's inputs].</summary>
    public Tensor Weight => weight;

    public Tensor? Bias => bias;

    /// <summary>Adds the product of [rows, this rank's inputs] to <paramref name="residual"/>, [rows,
    /// hidden].</summary>
    public void AddTo(Tensor residual, Tensor values)
    {
        if (stage.PromptProducts is { } forPrompts)
        {
            AddTo(residual, values, forPrompts);
            return;
        }

        var products = CpuProducts.Knows(values, weight) ? stage.Products : null;
        if (stage.RankCount == 1 && bias is null && IsPlain)
        {
            if (products is null) residual.AddInPlace(nn.functional.linear(values, weight));
            else products.MultiplyInto(residual, values, weight, adds: true);
            return;
        }

        var sum = Product(products, values);
        if (bias is not null) sum.AddInPlace(bias);
        stage.AllReduce(sum);
        if (norm is not null) sum = norm.Apply(sum).to(ScalarType.Float32);
        if (multiplier != 1) sum.MultiplyInPlace(multiplier);
        residual.AddInPlace(sum);
    }

    /// <summary>The same in an order of adding that the number of ranks does not change; what the kernels know has
    /// neither bias nor norm here.</summary>
    private void AddTo(Tensor residual, Tensor values, ChunkProducts products)
    {
        Invariant.Holds(bias is null && IsPlain);
        if (stage.RankCount == 1)
        {
            products.AddRows(values, weight, residual);
            return;
        }

        if (stage.Peers is { } peers)
        {
            products.AddRows(values, weight, residual, peers);
            return;
        }

        var sum = products.PartialRows(values, weight);
        stage.AllReduce(sum);
        residual.AddInPlace(sum);
    }

    private Tensor Product(CpuProducts? products, Tensor values)
    {
        if (products is null) return nn.functional.linear(values, weight).to(ScalarType.Float32);
        var sum = empty([values.shape[0], weight.shape[0]], ScalarType.Float32);
        products.MultiplyInto(sum, values, weight, adds: false);
        return sum;
    }
}
