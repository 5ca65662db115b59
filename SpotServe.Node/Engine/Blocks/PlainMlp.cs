using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>down(activation(up(x))).</summary>
internal sealed class PlainMlp(ColumnLinear up, Func<Tensor, Tensor> activation, RowLinear down) : IMlp
{
    public void AddTo(Tensor residual, Tensor normed) => down.AddTo(residual, activation(up.Apply(normed)));
}
