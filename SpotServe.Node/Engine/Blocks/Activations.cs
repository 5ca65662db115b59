using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>The functions between the products of a feed-forward part.</summary>
internal static class Activations
{
    /// <summary>A function that may work in place: what it is given is not used again.</summary>
    public static Func<Tensor, Tensor> Of(Activation activation) => activation switch
    {
        Activation.Silu => values => nn.functional.silu(values, inplace: true),
        Activation.Gelu => values => nn.functional.gelu(values),
        Activation.GeluTanh => GeluTanh,
        Activation.QuickGelu => values => values.mul_(values.Times(1.702).sigmoid_()),
        Activation.Relu => values => values.relu_(),
        Activation.ReluSquared => values => values.relu_().Squared(),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), in float32.</summary>
    private static Tensor GeluTanh(Tensor values)
    {
        var x = values.to(ScalarType.Float32);
        var inner = (x * x * x).MultiplyInPlace(0.044715).AddInPlace(x).MultiplyInPlace(Math.Sqrt(2 / Math.PI));
        return inner.tanh_().AddInPlace(1).mul_(x).MultiplyInPlace(0.5).to(values.dtype);
    }
}
