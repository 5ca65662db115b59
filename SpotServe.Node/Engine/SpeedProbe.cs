using System.Diagnostics;
using SpotServe.Actors.Execution;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>
/// Measures what a device's kind says of it: how fast it reads weights, how fast it multiplies, and what a layer takes
/// that depends on neither. Three measurements of at most a fifth of a second each, and the warm-up.
/// </summary>
internal static class SpeedProbe
{
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(0.15);

    /// <summary>Passes of which the fastest counts: others of this machine may disturb some.</summary>
    private const int PassesMin = 3;

    /// <summary>Steps of a layer that start something on the device: norms, products, attention, activation.</summary>
    private const int OperationsOfLayer = 14;

    /// <param name="model">Name of the device's model, its threads and the type included.</param>
    public static DeviceSpeed Measure(Device device, ElementType type, string model)
    {
        using var scope = NewDisposeScope();
        using var noGradients = inference_mode();
        var onCpu = device.type == DeviceType.CPU;
        return new DeviceSpeed(
            model,
            WeightRate(device, type, onCpu ? 2048 : 8192),
            MatrixRate(device, type, onCpu ? 512 : 4096),
            LayerOverhead(device, type));
    }

    private static double WeightRate(Device device, ElementType type, int size)
    {
        using var scope = NewDisposeScope();
        var weights = Random(size, 2 * size, device, type);
        var vector = Random(1, size, device, type);
        return weights.numel() * type.Bytes() / Best(device, () => vector.matmul(weights).Dispose());
    }

    private static double MatrixRate(Device device, ElementType type, int size)
    {
        using var scope = NewDisposeScope();
        var (left, right) = (Random(size, size, device, type), Random(size, size, device, type));
        return 2.0 * size * size * size / Best(device, () => left.matmul(right).Dispose());
    }

    private static double LayerOverhead(Device device, ElementType type)
    {
        using var scope = NewDisposeScope();
        var (small, weights) = (Random(1, 16, device, type), Random(16, 16, device, type));
        return Best(device, () =>
        {
            for (var i = 0; i < OperationsOfLayer / 2; i++)
            {
                using var product = small.matmul(weights);
                using var sum = product.Plus(small);
            }
        });
    }

    /// <summary>Seconds of the fastest pass.</summary>
    private static double Best(Device device, Action pass)
    {
        pass();
        var best = double.PositiveInfinity;
        var all = Stopwatch.StartNew();
        for (var i = 0; i < PassesMin || all.Elapsed < TimeMax; i++)
        {
            if (device.type == DeviceType.CUDA) cuda.synchronize(device);
            var one = Stopwatch.StartNew();
            pass();
            if (device.type == DeviceType.CUDA) cuda.synchronize(device);
            best = Math.Min(best, one.Elapsed.TotalSeconds);
        }

        return Math.Max(best, 1e-9);
    }

    /// <summary>Numbers at random: a GPU is faster on zeros.</summary>
    private static Tensor Random(int rows, int columns, Device device, ElementType type) =>
        randn([rows, columns], ScalarType.Float32, device).to(type.ToTorch());
}
