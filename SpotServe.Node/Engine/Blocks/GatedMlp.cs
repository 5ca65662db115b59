using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>A feed-forward part that adds its result to the residual stream.</summary>
internal interface IMlp
{
    /// <param name="normed">[rows, hidden] in the weight type.</param>
    void AddTo(Tensor residual, Tensor normed);
}

/// <summary>down(silu(gate(x)) * up(x)), gate and up as one product.</summary>
/// <param name="gateUp">[2 x this rank's width, hidden]: gate's rows, then up's.</param>
internal sealed class GatedMlp(StageContext stage, ColumnLinear gateUp, RowLinear down) : IMlp
{
    public void AddTo(Tensor residual, Tensor normed)
    {
        var both = gateUp.Apply(normed);
        var width = both.shape[1] / 2;
        if (stage.Cpu is { } cpu && width % 8 == 0)
        {
            var product = empty([both.shape[0], width], stage.WeightType);
            cpu.SiluMultiply(both, product);
            down.AddTo(residual, product);
            return;
        }

        var gate = both.narrow(1, 0, width);
        down.AddTo(residual, nn.functional.silu(gate).mul_(both.narrow(1, width, width)));
    }
}
