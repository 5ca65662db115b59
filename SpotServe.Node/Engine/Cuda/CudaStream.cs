using System.Diagnostics;
using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// A queue of work on a device, independent of libtorch's default stream. Made and used on threads whose context is the
/// device's (<see cref="CudaDriver.UseContext"/>).
/// </summary>
internal sealed unsafe partial class CudaStream : IDisposable
{
    private const string Library = "libcuda.so.1";
    private const uint NonBlocking = 1;
    private const int CaptureRelaxed = 2;

    private nint _handle;
    private long _waited;

    public CudaStream()
    {
        nint handle;
        CudaDriver.Ran(Create(&handle, NonBlocking), nameof(Create));
        _handle = handle;
    }

    public nint Handle => _handle;

    /// <summary>Time spent in <see cref="Synchronize"/>.</summary>
    public double WaitedSeconds => Stopwatch.GetElapsedTime(0, _waited).TotalSeconds;

    public void Synchronize()
    {
        var began = Stopwatch.GetTimestamp();
        CudaDriver.Ran(SynchronizeStream(_handle), nameof(Synchronize));
        _waited += Stopwatch.GetTimestamp() - began;
    }

    /// <param name="to">Host memory: pinned, or the copy is staged by the driver.</param>
    public void CopyToHost(void* to, nint from, long bytes) =>
        CudaDriver.Ran(CopyDeviceToHost(to, from, (nuint)bytes, _handle), nameof(CopyToHost));

    public void CopyToDevice(nint to, void* from, long bytes) =>
        CudaDriver.Ran(CopyHostToDevice(to, from, (nuint)bytes, _handle), nameof(CopyToDevice));

    /// <summary>From GPU to GPU, or within one.</summary>
    public void CopyBetween(in DeviceRows from, in DeviceRows into, long bytes) => CudaDriver.Ran(
        CopyPeer(
            into.Start, CudaDriver.Context(into.Device), from.Start, CudaDriver.Context(from.Device), (nuint)bytes,
            _handle),
        nameof(CopyBetween));

    /// <summary>So many rows of so many bytes from GPU to GPU, or within one.</summary>
    public void CopyRowsBetween(in DeviceRows from, in DeviceRows into, long width, long rows)
    {
        var copy = new RowsCopy(Side(from, rows), Side(into, rows), (nuint)width, (nuint)rows);
        CudaDriver.Ran(CopyPeerRows(&copy, _handle), nameof(CopyRowsBetween));
    }

    private static CopySide Side(in DeviceRows rows, long count) => new()
    {
        MemoryType = CopySide.DeviceMemory,
        Device = rows.Start,
        Context = CudaDriver.Context(rows.Device),
        Pitch = (nuint)rows.Stride,
        Height = (nuint)count,
    };

    /// <summary>Records what <paramref name="enqueue"/> starts on this stream as a graph instead of running
    /// it.</summary>
    public CudaGraph Capture(Action enqueue)
    {
        CudaDriver.Ran(BeginCapture(_handle, CaptureRelaxed), nameof(BeginCapture));
        nint graph = 0;
        try
        {
            enqueue();
        }
        finally
        {
            // Also after a failure, or the stream would be of no further use.
            var status = EndCapture(_handle, &graph);
            if (status != 0) graph = 0;
        }

        if (graph == 0) throw new EngineLostException("CUDA's driver recorded no graph.");
        return new CudaGraph(graph, this);
    }

    public void Dispose()
    {
        if (_handle == 0) return;
        // Nothing can be done about a failure here: the device is lost or the process ends.
        _ = Destroy(_handle);
        _handle = 0;
    }

    [LibraryImport(Library, EntryPoint = "cuStreamCreate")]
    private static partial int Create(nint* stream, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamDestroy_v2")]
    private static partial int Destroy(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamSynchronize")]
    private static partial int SynchronizeStream(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    private static partial int BeginCapture(nint stream, int mode);

    [LibraryImport(Library, EntryPoint = "cuStreamEndCapture")]
    private static partial int EndCapture(nint stream, nint* graph);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoHAsync_v2")]
    private static partial int CopyDeviceToHost(void* into, nint from, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyPeerAsync")]
    private static partial int CopyPeer(
        nint to, nint toContext, nint from, nint fromContext, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpy3DPeerAsync")]
    private static partial int CopyPeerRows(RowsCopy* copy, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoDAsync_v2")]
    private static partial int CopyHostToDevice(nint into, void* from, nuint bytes, nint stream);
}

/// <summary>Rows in a GPU's memory.</summary>
/// <param name="Stride">Bytes from row to row.</param>
internal readonly record struct DeviceRows(int Device, nint Start, long Stride);

/// <summary>CUDA_MEMCPY3D_PEER of the driver's interface, for one layer of rows.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RowsCopy(CopySide from, CopySide into, nuint width, nuint rows)
{
    public CopySide From = from;
    public CopySide Into = into;
    public nuint Width = width;
    public nuint Rows = rows;
    public nuint Layers = 1;
}

/// <summary>One of the two sides of <see cref="RowsCopy"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CopySide
{
    public const int DeviceMemory = 2;

    public nuint X;
    public nuint Y;
    public nuint Layer;
    public nuint Detail;
    public int MemoryType;
    public nint Host;
    public nint Device;
    public nint Array;
    public nint Context;
    public nuint Pitch;
    public nuint Height;
}

/// <summary>Recorded work that is started as one.</summary>
internal sealed unsafe partial class CudaGraph : IDisposable
{
    private const string Library = "libcuda.so.1";

    private readonly CudaStream _stream;
    private nint _executable;

    /// <param name="graph">Consumed: only what is made of it is kept.</param>
    public CudaGraph(nint graph, CudaStream stream)
    {
        _stream = stream;
        nint executable;
        var status = Instantiate(&executable, graph, 0);
        _ = DestroyGraph(graph);
        CudaDriver.Ran(status, nameof(Instantiate));
        _executable = executable;
        CudaDriver.Ran(Upload(executable, stream.Handle), nameof(Upload));
    }

    public void Launch()
    {
        Invariant.Holds(_executable != 0);
        CudaDriver.Ran(LaunchGraph(_executable, _stream.Handle), nameof(Launch));
    }

    public void Dispose()
    {
        if (_executable == 0) return;
        _ = DestroyExecutable(_executable);
        _executable = 0;
    }

    [LibraryImport(Library, EntryPoint = "cuGraphInstantiateWithFlags")]
    private static partial int Instantiate(nint* executable, nint graph, ulong flags);

    [LibraryImport(Library, EntryPoint = "cuGraphUpload")]
    private static partial int Upload(nint executable, nint stream);

    [LibraryImport(Library, EntryPoint = "cuGraphLaunch")]
    private static partial int LaunchGraph(nint executable, nint stream);

    [LibraryImport(Library, EntryPoint = "cuGraphExecDestroy")]
    private static partial int DestroyExecutable(nint executable);

    [LibraryImport(Library, EntryPoint = "cuGraphDestroy")]
    private static partial int DestroyGraph(nint graph);
}
