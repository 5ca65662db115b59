using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>Makes libtorch's operations of the calling thread go to a stream of ours until disposed: so that they and
/// our kernels run in the order in which they were called.</summary>
internal readonly unsafe struct TorchStream : IDisposable
{
    private static readonly Lazy<Functions?> Switch = new(Functions.Find);

    private readonly nint _guard;

    private TorchStream(nint guard) => _guard = guard;

    /// <summary>False where this libtorch cannot be told: our kernels must then not be mixed with its
    /// operations.</summary>
    public static bool IsSupported => Switch.Value is not null;

    public static TorchStream Use(CudaStream stream, int device)
    {
        nint guard;
        var status = Switch.Value!.Create(stream.Handle, device, &guard);
        return status == 0 ? new TorchStream(guard) : throw new InvalidOperationException("libtorch took no stream.");
    }

    public void Dispose()
    {
        if (_guard != 0) _ = Switch.Value!.Delete(_guard);
    }

    /// <summary>libtorch's C interface for this, which TorchSharp does not expose.</summary>
    private sealed class Functions(nint create, nint delete)
    {
        public static Functions? Find() =>
            TorchNative.CudaLibrary != 0
            && NativeLibrary.TryGetExport(
                TorchNative.CudaLibrary, "aoti_torch_create_cuda_stream_guard", out var create)
            && NativeLibrary.TryGetExport(
                TorchNative.CudaLibrary, "aoti_torch_delete_cuda_stream_guard", out var delete)
                ? new Functions(create, delete) : null;

        public int Create(nint stream, int device, nint* guard) =>
            ((delegate* unmanaged<nint, int, nint*, int>)create)(stream, device, guard);

        public int Delete(nint guard) => ((delegate* unmanaged<nint, int>)delete)(guard);
    }
}
