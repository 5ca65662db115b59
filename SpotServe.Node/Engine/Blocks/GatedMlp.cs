using SpotServe.Actors;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>A feed-forward part that adds its result to the residual stream.</summary>
internal interface IMlp
{
    /// <param name="normed">[rows, hidden] in the weight type.</param>
    void AddTo(Tensor residual, Tensor normed);
}

/// <summary>down(activation(gate(x)) * up(x)). Gate and up are two products: in one they would have to lie one below
/// the other in memory, and so be copied out of the model's file.</summary>
internal sealed class GatedMlp(
    StageContext stage, ColumnLinear gate, ColumnLinear up, RowLinear down, Activation activation = Activation.Silu)
    : IMlp
{
    private readonly Func<Tensor, Tensor> _activation = Activations.Of(activation);

    /// <summary>Whether it is SwiGLU, which fused kernels know.</summary>
    public bool IsPlain => activation == Activation.Silu && down.IsPlain;

    public ColumnLinear Gate => gate;

    public ColumnLinear Up => up;

    public RowLinear Down => down;

    public void AddTo(Tensor residual, Tensor normed)
    {
        if (stage.PromptProducts is { } products)
        {
            Invariant.Holds(IsPlain && gate.Bias is null && up.Bias is null);
            down.AddTo(residual, products.Gated(normed, gate.Weight, up.Weight));
            return;
        }

        var (gated, values) = (gate.Apply(normed), up.Apply(normed));
        if (stage.Cpu is { } cpu && activation == Activation.Silu && gated.NumberOfElements % 8 == 0)
            cpu.SiluMultiply(gated, values);
        else if (stage.Chunks is { } chunks && activation == Activation.Silu) chunks.Gate(gated, values);
        else values.mul_(_activation(gated));
        down.AddTo(residual, values);
    }
}
