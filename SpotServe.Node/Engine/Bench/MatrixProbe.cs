using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>Measures how fast a GPU multiplies large matrices: the bound of prefill.</summary>
internal static class MatrixProbe
{
    private const int Size = 8192;
    private const int Passes = 4;

    /// <summary>The best of several passes, in 1e12 operations a second; null on the CPU, where it takes too
    /// long.</summary>
    public static double? TeraflopsPerSecond(Device device, ElementType type)
    {
        if (device.type == DeviceType.CPU) return null;
        using var scope = NewDisposeScope();
        // Numbers at random: a GPU is faster on zeros.
        var left = randn([Size, Size], ScalarType.Float32, device).to(type.ToTorch());
        var right = randn([Size, Size], ScalarType.Float32, device).to(type.ToTorch());
        var best = 0.0;
        for (var pass = 0; pass < Passes; pass++)
        {
            cuda.synchronize(device);
            var clock = Stopwatch.StartNew();
            using var product = left.matmul(right);
            cuda.synchronize(device);
            best = Math.Max(best, 2.0 * Size * Size * Size / clock.Elapsed.TotalSeconds / 1e12);
        }

        return best;
    }
}
