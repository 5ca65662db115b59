using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>Brings the float32 residual stream to the scale that a product wants.</summary>
internal interface INormalization
{
    /// <summary>[rows, width] in float32 to the same shape in the weight type; the input stays as it is.</summary>
    Tensor Apply(Tensor values);
}

/// <summary>x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension.</summary>
internal sealed class RmsNorm(StageContext stage, Tensor weight, double epsilon) : INormalization
{
    public Tensor Weight => weight;

    public double Epsilon => epsilon;

    public Tensor Apply(Tensor values)
    {
        if (stage.Cpu is { } cpu && values.dim() == 2 && values.is_contiguous())
        {
            var result = empty(values.shape, stage.WeightType);
            cpu.RmsNorm(values, weight, (float)epsilon, result);
            return result;
        }

        if (stage.Chunks is { } chunks && values.dim() == 2 && values.is_contiguous())
            return chunks.Norm(values, weight, epsilon);

        var scale = values.Squared().mean([-1], keepdim: true).AddInPlace(epsilon).rsqrt_();
        return values.mul(scale).mul_(weight).to(stage.WeightType);
    }
}
