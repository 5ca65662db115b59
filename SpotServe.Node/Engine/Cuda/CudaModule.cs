using System.Runtime.InteropServices;
using System.Text;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>How a kernel is started.</summary>
/// <param name="Cluster">Blocks of a cluster, along x; 1 for none.</param>
/// <param name="StartsEarly">It may start while the kernel before it ends (programmatic dependent launch): it waits by
/// itself for what that one wrote.</param>
internal readonly record struct LaunchShape(
    int GridX, int GridY, int GridZ, int Threads, int SharedBytes, int Cluster, bool StartsEarly);

/// <summary>Compiled kernels on a device; of a context that lasts as long as the process.</summary>
internal sealed unsafe partial class CudaModule : IDisposable
{
    private const string Library = "libcuda.so.1";
    private const int DynamicSharedBytesMax = 8;
    private const uint ClusterDimension = 4;
    private const uint ProgrammaticSerialization = 6;

    private const int NotFound = 500;

    private readonly Dictionary<string, (nint Function, int SharedBytes)> _functions = [];
    private readonly List<nint> _modules = [];

    /// <param name="images">Cubins for this device; no two of them have a kernel of the same name.</param>
    public CudaModule(IEnumerable<byte[]> images)
    {
        foreach (var image in images)
        {
            nint module;
            fixed (byte* start = image) CudaDriver.Ran(LoadData(&module, start), nameof(LoadData));
            _modules.Add(module);
        }
    }

    /// <summary>Starts a kernel, or records it where the stream is being captured.</summary>
    /// <param name="arguments">Addresses of the kernel's parameters; read before the call returns.</param>
    public void Launch(CudaStream stream, string name, in LaunchShape shape, void** arguments)
    {
        var attributes = stackalloc LaunchAttribute[2];
        var count = 0u;
        if (shape.Cluster > 1)
        {
            attributes[count++] = new LaunchAttribute
            {
                Id = ClusterDimension,
                X = (uint)shape.Cluster,
                Y = 1,
                Z = 1,
            };
        }

        if (shape.StartsEarly) attributes[count++] = new LaunchAttribute { Id = ProgrammaticSerialization, X = 1 };
        var config = new LaunchConfig
        {
            GridX = (uint)shape.GridX,
            GridY = (uint)shape.GridY,
            GridZ = (uint)shape.GridZ,
            BlockX = (uint)shape.Threads,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)shape.SharedBytes,
            Stream = stream.Handle,
            Attributes = attributes,
            AttributeCount = count,
        };
        CudaDriver.Ran(LaunchKernel(&config, Function(name, shape.SharedBytes), arguments, null), $"start {name}");
    }

    public void Dispose()
    {
        foreach (var module in _modules) _ = Unload(module);
        _modules.Clear();
    }

    /// <summary>A kernel that may be started with so much shared memory: its limit grows with what is asked
    /// for.</summary>
    private nint Function(string name, int sharedBytes)
    {
        if (_functions.TryGetValue(name, out var known) && known.SharedBytes >= sharedBytes) return known.Function;
        var function = known.Function;
        if (function == 0) function = Find(name);
        CudaDriver.Ran(SetAttribute(function, DynamicSharedBytesMax, sharedBytes), $"give {name} shared memory");
        _functions[name] = (function, sharedBytes);
        return function;
    }

    private nint Find(string name)
    {
        nint function = 0;
        var status = NotFound;
        fixed (byte* text = Encoding.ASCII.GetBytes(name + '\0'))
        {
            for (var i = 0; i < _modules.Count && status == NotFound; i++)
                status = GetFunction(&function, _modules[i], text);
        }

        CudaDriver.Ran(status, $"find {name}");
        return function;
    }

    // The driver's structs: an attribute is an id and 64 bytes of value, of which at most three numbers are used here.
    [StructLayout(LayoutKind.Sequential, Size = 72)]
    private struct LaunchAttribute
    {
        public uint Id;
        public uint Padding;
        public uint X;
        public uint Y;
        public uint Z;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct LaunchConfig
    {
        public uint GridX;
        public uint GridY;
        public uint GridZ;
        public uint BlockX;
        public uint BlockY;
        public uint BlockZ;
        public uint SharedBytes;
        public nint Stream;
        public LaunchAttribute* Attributes;
        public uint AttributeCount;
    }

    [LibraryImport(Library, EntryPoint = "cuModuleLoadData")]
    private static partial int LoadData(nint* module, byte* image);

    [LibraryImport(Library, EntryPoint = "cuModuleUnload")]
    private static partial int Unload(nint module);

    [LibraryImport(Library, EntryPoint = "cuModuleGetFunction")]
    private static partial int GetFunction(nint* function, nint module, byte* name);

    [LibraryImport(Library, EntryPoint = "cuFuncSetAttribute")]
    private static partial int SetAttribute(nint function, int attribute, int value);

    [LibraryImport(Library, EntryPoint = "cuLaunchKernelEx")]
    private static partial int LaunchKernel(LaunchConfig* config, nint function, void** arguments, void** extra);
}
