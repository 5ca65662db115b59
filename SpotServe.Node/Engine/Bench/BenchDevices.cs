using SpotServe.Node.Engine.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>The devices that the ranks of a stage are measured on.</summary>
internal static class BenchDevices
{
    /// <summary>Opens devices, from the named one on, and lets them reach each other's memory.</summary>
    /// <param name="name">"cpu", "cuda" or "cuda:N".</param>
    /// <param name="log">Told where they cannot.</param>
    /// <exception cref="ArgumentException">There is but one CPU.</exception>
    /// <exception cref="TorchLoadException">libtorch does not load, or sees too few GPUs.</exception>
    public static IReadOnlyList<Device> Open(
        string name, int count, string? torchLib, int threads, Action<string> log)
    {
        var first = TorchDevices.Open(name, torchLib, threads);
        if (count == 1) return [first];
        if (first.type != DeviceType.CUDA)
            throw new ArgumentException($"--devices {count} needs GPUs; --device is {name}.");
        Device[] all = [.. Enumerable.Range(first.index, count).Select(
            index => TorchDevices.Open($"cuda:{index}", torchLib, threads))];
        if (PeerAccess.Switch([.. all.Select(device => device.index)]) is { } why)
            log($"not all GPUs reach each other's memory: {why}");
        return all;
    }
}
