using System.Runtime.InteropServices;
using System.Text;

namespace SpotServe.Node.Engine;

/// <summary>The little of CUDA's driver interface that TorchSharp does not expose. Call only where a GPU is in
/// use.</summary>
internal static unsafe partial class CudaDriver
{
    private const string Library = "libcuda.so.1";
    private const int NameBytesMax = 256;

    public static long TotalMemory(int device)
    {
        nuint bytes;
        Check(DeviceTotalMemory(&bytes, Handle(device)), nameof(TotalMemory));
        return (long)bytes;
    }

    public static string Name(int device)
    {
        var name = stackalloc byte[NameBytesMax];
        Check(DeviceName(name, NameBytesMax, Handle(device)), nameof(Name));
        return Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
    }

    private static int Handle(int device)
    {
        int handle;
        Check(Init(0), nameof(Init));
        Check(DeviceGet(&handle, device), nameof(DeviceGet));
        return handle;
    }

    private static void Check(int status, string call)
    {
        if (status != 0) throw new TorchLoadException($"CUDA's driver answered error {status} to {call}.");
    }

    [LibraryImport(Library, EntryPoint = "cuInit")]
    private static partial int Init(uint flags);

    [LibraryImport(Library, EntryPoint = "cuDeviceGet")]
    private static partial int DeviceGet(int* handle, int ordinal);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    private static partial int DeviceTotalMemory(nuint* bytes, int handle);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetName")]
    private static partial int DeviceName(byte* name, int length, int handle);
}
