using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>(x - mean) / sqrt(variance + epsilon) * weight + bias, over the last dimension; weight and bias may be
/// missing.</summary>
internal sealed class LayerNorm(StageContext stage, Tensor? weight, Tensor? bias, double epsilon) : INormalization
{
    public Tensor Apply(Tensor values) =>
        nn.functional.layer_norm(values, [values.shape[^1]], weight, bias, epsilon).to(stage.WeightType);
}
