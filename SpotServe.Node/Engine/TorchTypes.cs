using TorchSharp;

namespace SpotServe.Node.Engine;

internal static class TorchTypes
{
    public static torch.ScalarType ToTorch(this ElementType type) => type switch
    {
        ElementType.Float32 => torch.ScalarType.Float32,
        ElementType.Float16 => torch.ScalarType.Float16,
        ElementType.BFloat16 => torch.ScalarType.BFloat16,
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
