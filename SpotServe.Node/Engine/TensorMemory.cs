using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

[assembly: InternalsVisibleTo("SpotServe.Tests")]

namespace SpotServe.Node.Engine;

/// <summary>Direct access to a tensor's memory, which TorchSharp gives only in pieces of up to 2 GB and with
/// copies.</summary>
internal static unsafe class TensorMemory
{
    private static readonly delegate* unmanaged<nint, void**, int> GetDataPointer =
        (delegate* unmanaged<nint, void**, int>)NativeLibrary.GetExport(
            TorchNative.CpuLibrary, "aoti_torch_get_data_ptr");

    private static readonly delegate* unmanaged<
        void*, long, long*, long*, long, int, int, int, nint*, int> CreateFromBlob =
        (delegate* unmanaged<void*, long, long*, long*, long, int, int, int, nint*, int>)NativeLibrary.GetExport(
            TorchNative.CpuLibrary, "aoti_torch_create_tensor_from_blob");

    /// <summary>A contiguous tensor on the CPU over memory that somebody else keeps alive for as long.</summary>
    public static Tensor Over(void* memory, ReadOnlySpan<long> shape, ScalarType type)
    {
        var strides = stackalloc long[shape.Length];
        var stride = 1L;
        for (var i = shape.Length - 1; i >= 0; i--)
        {
            strides[i] = stride;
            stride *= shape[i];
        }

        nint tensor;
        fixed (long* sizes = shape)
        {
            var status = CreateFromBlob(
                memory, shape.Length, sizes, strides, 0, (int)type, (int)DeviceType.CPU, 0, &tensor);
            if (status != 0) throw new InvalidOperationException("libtorch made no tensor over foreign memory.");
        }

        return Tensor.UnsafeCreateTensor(tensor);
    }

    /// <summary>First element. Valid while the tensor lives; host memory only if the tensor is on the CPU.</summary>
    public static void* Pointer(Tensor tensor)
    {
        void* pointer;
        var status = GetDataPointer(tensor.Handle, &pointer);
        GC.KeepAlive(tensor);
        return status == 0 ? pointer : throw new InvalidOperationException("libtorch gave no data pointer.");
    }

    /// <summary>All elements of a contiguous float32 tensor in host memory.</summary>
    public static Span<float> Floats(Tensor tensor) =>
        new(Pointer(tensor), checked((int)tensor.NumberOfElements));

    public static Span<T> Span<T>(Tensor tensor, int length) where T : unmanaged => new(Pointer(tensor), length);
}
