using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>Column-parallel product: each rank computes its own outputs; nothing is exchanged.</summary>
internal sealed class ColumnLinear(Tensor weight, Tensor? bias = null)
{
    /// <summary>[rows, input] to [rows, this rank's outputs], in the weight type.</summary>
    public Tensor Apply(Tensor values) => nn.functional.linear(values, weight, bias);
}

/// <summary>Row-parallel product: each rank multiplies its part of the input; the partial sums are added over the
/// ranks in float32, then to the residual stream.</summary>
/// <param name="bias">float32, on rank 0 only: it is added once.</param>
internal sealed class RowLinear(StageContext stage, Tensor weight, Tensor? bias = null)
{
    /// <summary>Adds the product of [rows, this rank's inputs] to <paramref name="residual"/>, [rows,
    /// hidden].</summary>
    public void AddTo(Tensor residual, Tensor values)
    {
        var partial = nn.functional.linear(values, weight).to(ScalarType.Float32);
        if (bias is not null) partial.add_(bias);
        stage.AllReduce(partial);
        residual.add_(partial);
    }
}
