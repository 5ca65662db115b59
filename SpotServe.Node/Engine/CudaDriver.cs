using System.Runtime.InteropServices;
using System.Text;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine;

/// <summary>The little of CUDA's driver interface that TorchSharp does not expose. Call only where a GPU is in
/// use.</summary>
internal static unsafe partial class CudaDriver
{
    private const string Library = "libcuda.so.1";
    private const int NameBytesMax = 256;

    private static readonly Dictionary<int, nint> Contexts = [];

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

    /// <summary>Copies out of device memory, after all that was started before on the default stream.</summary>
    /// <exception cref="EngineLostException">The driver failed.</exception>
    public static void CopyToHost(int device, byte* from, Span<byte> into)
    {
        UseContext(device);
        fixed (byte* target = into) Copied(CopyDeviceToHost(target, (nint)from, (nuint)into.Length));
    }

    /// <summary>Copies into device memory; what is started later on the default stream sees it.</summary>
    /// <exception cref="EngineLostException">The driver failed.</exception>
    public static void CopyToDevice(int device, ReadOnlySpan<byte> from, byte* into)
    {
        UseContext(device);
        fixed (byte* source = from) Copied(CopyHostToDevice((nint)into, source, (nuint)from.Length));
    }

    /// <summary>Makes the context that libtorch uses the calling thread's.</summary>
    private static void UseContext(int device)
    {
        nint context;
        lock (Contexts)
        {
            if (!Contexts.TryGetValue(device, out context))
            {
                // Held for the life of the process, as libtorch does.
                Check(RetainContext(&context, Handle(device)), nameof(RetainContext));
                Contexts.Add(device, context);
            }
        }

        Copied(SetContext(context));
    }

    private static void Copied(int status)
    {
        if (status != 0) throw new EngineLostException($"CUDA's driver answered error {status} to a copy.");
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

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRetain")]
    private static partial int RetainContext(nint* context, int handle);

    [LibraryImport(Library, EntryPoint = "cuCtxSetCurrent")]
    private static partial int SetContext(nint context);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoH_v2")]
    private static partial int CopyDeviceToHost(byte* into, nint from, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoD_v2")]
    private static partial int CopyHostToDevice(nint into, byte* from, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    private static partial int DeviceTotalMemory(nuint* bytes, int handle);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetName")]
    private static partial int DeviceName(byte* name, int length, int handle);
}
