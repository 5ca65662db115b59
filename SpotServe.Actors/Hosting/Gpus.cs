using System.Runtime.InteropServices;

namespace SpotServe.Actors.Hosting;

/// <summary>NVIDIA GPUs that programs of this machine can use, as the driver counts them.</summary>
public static partial class Gpus
{
    /// <summary>The driver's library.</summary>
    public const string Library = "libcuda.so.1";

    private const int Success = 0;

    /// <summary>How many there are; null without a driver.</summary>
    public static int? Count()
    {
        try
        {
            return Initialize(0) == Success && CountDevices(out var count) == Success ? count : 0;
        }
        catch (Exception error) when (
            error is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            return null;
        }
    }

    [LibraryImport(Library, EntryPoint = "cuInit")]
    private static partial int Initialize(uint flags);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetCount")]
    private static partial int CountDevices(out int count);
}
