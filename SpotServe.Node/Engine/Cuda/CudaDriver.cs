using System.Runtime.InteropServices;
using System.Text;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>What of CUDA's driver interface TorchSharp does not expose: devices, contexts and plain copies. Call only
/// where a GPU is in use.</summary>
internal static unsafe partial class CudaDriver
{
    private const string Library = "libcuda.so.1";
    private const int NameBytesMax = 256;
    private const int CapabilityMajor = 75;
    private const int CapabilityMinor = 76;
    private const int Multiprocessors = 16;

    private static readonly Dictionary<int, nint> Contexts = [];

    public static long TotalMemory(int device)
    {
        nuint bytes;
        Check(DeviceTotalMemory(&bytes, Handle(device)), nameof(TotalMemory));
        return (long)bytes;
    }

    /// <summary>Bytes that nobody holds.</summary>
    public static long FreeMemory(int device)
    {
        UseContext(device);
        nuint free, all;
        Ran(MemoryInfo(&free, &all), nameof(FreeMemory));
        return (long)free;
    }

    public static string Name(int device)
    {
        var name = stackalloc byte[NameBytesMax];
        Check(DeviceName(name, NameBytesMax, Handle(device)), nameof(Name));
        return Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
    }

    /// <summary>Compute capability times ten: 90 is Hopper's.</summary>
    public static int Capability(int device) =>
        (10 * Attribute(device, CapabilityMajor)) + Attribute(device, CapabilityMinor);

    /// <summary>Streaming multiprocessors of the device.</summary>
    public static int MultiprocessorCount(int device) => Attribute(device, Multiprocessors);

    /// <summary>The driver's version as CUDA numbers it, e.g. 13000.</summary>
    public static int Version()
    {
        int version;
        Check(DriverVersion(&version), nameof(Version));
        return version;
    }

    /// <summary>Copies out of device memory; whatever wrote it must have been waited for. Callable from several threads
    /// at once.</summary>
    /// <exception cref="EngineLostException">The driver failed.</exception>
    public static void CopyToHost(int device, byte* from, Span<byte> into)
    {
        using var slot = CopySlot.Rent(device);
        var held = slot.Turn();
        var underWay = Math.Min(into.Length, CopySlot.HalfBytes);
        slot.Bring((nint)from, underWay);
        for (var offset = 0; offset < into.Length;)
        {
            var (arrived, count) = ((nint)held, underWay);
            var next = offset + count;
            held = slot.Turn();
            underWay = Math.Min(into.Length - next, CopySlot.HalfBytes);
            if (underWay > 0) slot.Bring((nint)from + next, underWay);
            slot.AwaitOther();
            new ReadOnlySpan<byte>((void*)arrived, count).CopyTo(into[offset..]);
            offset = next;
        }
    }

    /// <summary>Copies into device memory; it is there, for any stream, when the call returns. Callable from several
    /// threads at once.</summary>
    /// <exception cref="EngineLostException">The driver failed.</exception>
    public static void CopyToDevice(int device, ReadOnlySpan<byte> from, byte* into)
    {
        using var slot = CopySlot.Rent(device);
        for (var offset = 0; offset < from.Length; offset += CopySlot.HalfBytes)
        {
            var part = from.Slice(offset, Math.Min(CopySlot.HalfBytes, from.Length - offset));
            part.CopyTo(new Span<byte>(slot.Turn(), part.Length));
            slot.Send((nint)into + offset, 0, part.Length);
        }
    }

    /// <summary>Waits for all that was started on the default stream, where libtorch works unless told
    /// otherwise.</summary>
    public static void SynchronizeDefaultStream(int device)
    {
        UseContext(device);
        Ran(SynchronizeStream(0), nameof(SynchronizeDefaultStream));
    }

    /// <summary>Makes the context that libtorch uses the calling thread's.</summary>
    internal static void UseContext(int device) => Ran(SetContext(Context(device)), nameof(SetContext));

    /// <summary>The context that libtorch uses.</summary>
    internal static nint Context(int device)
    {
        lock (Contexts)
        {
            if (Contexts.TryGetValue(device, out var context)) return context;
            // Held for the life of the process, as libtorch does.
            Check(RetainContext(&context, Handle(device)), nameof(RetainContext));
            Contexts.Add(device, context);
            return context;
        }
    }

    /// <exception cref="EngineLostException">The status is an error: the device is of no further use.</exception>
    internal static void Ran(int status, string call)
    {
        if (status != 0) throw new EngineLostException($"CUDA's driver answered error {status} to {call}.");
    }

    private static int Attribute(int device, int attribute)
    {
        int value;
        Check(DeviceAttribute(&value, attribute, Handle(device)), nameof(DeviceAttribute));
        return value;
    }

    internal static int Handle(int device)
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

    [LibraryImport(Library, EntryPoint = "cuDriverGetVersion")]
    private static partial int DriverVersion(int* version);

    [LibraryImport(Library, EntryPoint = "cuDeviceGet")]
    private static partial int DeviceGet(int* handle, int ordinal);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetAttribute")]
    private static partial int DeviceAttribute(int* value, int attribute, int handle);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRetain")]
    private static partial int RetainContext(nint* context, int handle);

    [LibraryImport(Library, EntryPoint = "cuCtxSetCurrent")]
    private static partial int SetContext(nint context);

    [LibraryImport(Library, EntryPoint = "cuStreamSynchronize")]
    private static partial int SynchronizeStream(nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    private static partial int MemoryInfo(nuint* free, nuint* total);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    private static partial int DeviceTotalMemory(nuint* bytes, int handle);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetName")]
    private static partial int DeviceName(byte* name, int length, int handle);
}
