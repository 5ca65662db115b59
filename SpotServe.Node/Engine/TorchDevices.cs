using System.Globalization;
using SpotServe.Node.Engine.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>Devices by name: "cpu", "cuda" (the first) or "cuda:N".</summary>
internal static class TorchDevices
{
    /// <summary>Loads libtorch and makes the device usable.</summary>
    /// <exception cref="ArgumentException">The name is none of these.</exception>
    /// <exception cref="TorchLoadException">libtorch does not load or sees no such GPU.</exception>
    public static Device Open(string name, string? torchLib, int threads)
    {
        var index = Parse(name);
        TorchNative.EnsureLoaded(torchLib);
        if (index is null)
        {
            InitializeDeviceType(DeviceType.CPU);
            TorchNative.SetThreads(threads);
            return CPU;
        }

        try
        {
            InitializeDeviceType(DeviceType.CUDA);
        }
        catch (Exception error) when (error is InvalidOperationException or NotSupportedException)
        {
            throw new TorchLoadException(
                $"{name}: libtorch from {TorchNative.LoadedFrom} has no CUDA. Build with -p:Torch=cuda, or name a "
                + $"PyTorch's lib folder (--torch-lib or {TorchNative.EnvironmentVariable}).", error);
        }

        var count = cuda.is_available() ? cuda.device_count() : 0;
        if (index >= count) throw new TorchLoadException($"{name}: this machine has {count} usable GPUs.");
        TorchNative.SetThreads(threads);
        TorchNative.SwitchCudnnAttentionOff();
        return new Device(DeviceType.CUDA, index.Value);
    }

    /// <summary>Memory of the device, or of the machine, in bytes.</summary>
    public static long MemoryBytes(Device device) => device.type == DeviceType.CPU
        ? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes
        : CudaDriver.TotalMemory(device.index);

    public static string Describe(Device device, int threads) => device.type == DeviceType.CPU
        ? string.Create(CultureInfo.InvariantCulture, $"cpu ({threads} thread{(threads == 1 ? "" : "s")})")
        : string.Create(CultureInfo.InvariantCulture, $"cuda:{device.index} {CudaDriver.Name(device.index)}");

    /// <summary>The hardware's name without its place in this machine.</summary>
    public static string ModelName(Device device, int threads) => device.type == DeviceType.CPU
        ? string.Create(CultureInfo.InvariantCulture, $"cpu {CpuName()} ({threads} thread{(threads == 1 ? "" : "s")})")
        : CudaDriver.Name(device.index);

    private static string CpuName()
    {
        const string File = "/proc/cpuinfo";
        const string Key = "model name";
        var line = System.IO.File.Exists(File)
            ? System.IO.File.ReadLines(File).FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal))
            : null;
        return line is null ? "of unknown model" : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }

    /// <summary>Null for the CPU, else the GPU's index.</summary>
    private static int? Parse(string name)
    {
        if (name == "cpu") return null;
        if (name == "cuda") return 0;
        return name.StartsWith("cuda:", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var index)
                ? index
                : throw new ArgumentException($"Device \"{name}\" is not cpu, cuda or cuda:N.", nameof(name));
    }
}
