using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>No norm: the residual stream in the weight type.</summary>
internal sealed class NoNorm(StageContext stage) : INormalization
{
    public Tensor Apply(Tensor values) => values.to(stage.WeightType);
}

/// <summary>A product with a matrix that every rank has, in place of a norm or behind one.</summary>
/// <param name="weight">[output, input].</param>
internal sealed class ProjectedNorm(INormalization norm, Tensor weight) : INormalization
{
    public Tensor Apply(Tensor values) => nn.functional.linear(norm.Apply(values), weight);
}
