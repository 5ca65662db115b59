using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>A product of row-major matrices on the device: output[row][n] = sum over k of input[row][k] weights[n][k],
/// once or for several parts that lie a fixed distance apart.</summary>
/// <param name="InputStride">Elements from row to row of the input and of the weights.</param>
/// <param name="Parts">Products of that shape; 1 for one.</param>
/// <param name="PartStride">Elements from part to part, of the input and of the weights.</param>
/// <param name="IsWide">The output is float32; else of the inputs' type.</param>
internal readonly record struct ProductShape(
    int Rows, int Outputs, int Width, int InputStride, int Parts, int PartStride, bool IsWide);

/// <summary>Which of its kernels cuBLAS is to use, as it encodes it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ProductAlgorithm
{
    public fixed ulong Words[8];
}

/// <summary>
/// Products through cuBLAS's lower interface, which lets the caller say by which kernel. Only kernels that sum each
/// output in one piece are asked for: those take its products in an order that the matrix's other sizes do not change.
/// Used by one thread at a time.
/// </summary>
internal sealed unsafe class CublasLt : IDisposable
{
    private const int Compute32 = 68;
    private const int TypeFloat32 = 0;
    private const int TypeFloat16 = 2;
    private const int TypeBfloat16 = 14;
    private const int TransposeFirst = 3;
    private const int BatchCount = 5;
    private const int BatchStride = 6;
    private const int WorkspaceBytesMax = 1;
    private const int ReductionSchemes = 3;
    private const int CandidatesMax = 32;

    private static readonly string[] Names = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];

    private static readonly Lazy<nint> Library = new(Find);

    private readonly int _type;
    private nint _handle;
    private nint _operation;
    private nint _preference;

    /// <param name="isFloat16">Type of the inputs; else bfloat16.</param>
    /// <exception cref="KernelsUnavailableException">There is no such library, or it refuses.</exception>
    public CublasLt(bool isFloat16)
    {
        _type = isFloat16 ? TypeFloat16 : TypeBfloat16;
        fixed (nint* handle = &_handle, operation = &_operation, preference = &_preference)
        {
            Needed(((delegate* unmanaged<nint*, int>)Export("cublasLtCreate"))(handle), "cublasLtCreate");
            var describe = (delegate* unmanaged<nint*, int, int, int>)Export("cublasLtMatmulDescCreate");
            Needed(describe(operation, Compute32, TypeFloat32), "cublasLtMatmulDescCreate");
            var prefer = (delegate* unmanaged<nint*, int>)Export("cublasLtMatmulPreferenceCreate");
            Needed(prefer(preference), "cublasLtMatmulPreferenceCreate");
        }

        Set("cublasLtMatmulDescSetAttribute", _operation, TransposeFirst, 1);
        // Without room for parts of sums, and without a way to add them, no sum is cut.
        Set("cublasLtMatmulPreferenceSetAttribute", _preference, WorkspaceBytesMax, 0L);
        Set("cublasLtMatmulPreferenceSetAttribute", _preference, ReductionSchemes, 0);
    }

    /// <summary>The kernel that cuBLAS thinks best for a shape, of those that can also do others.</summary>
    /// <param name="others">Shapes that it must be able to do.</param>
    /// <returns>Where none says that it can do all, the best for the shape itself; null when there is none.</returns>
    public ProductAlgorithm? Choose(in ProductShape shape, ReadOnlySpan<ProductShape> others)
    {
        using var layouts = new Layouts(shape, _type);
        var found = stackalloc Heuristic[CandidatesMax];
        int count;
        var choose = (delegate* unmanaged<
            nint, nint, nint, nint, nint, nint, nint, int, Heuristic*, int*, int>)Export(
            "cublasLtMatmulAlgoGetHeuristic");
        var status = choose(
            _handle, _operation, layouts.Weights, layouts.Input, layouts.Output, layouts.Output, _preference,
            CandidatesMax, found, &count);
        if (status != 0) return null;
        ProductAlgorithm? best = null;
        for (var i = 0; i < count; i++)
        {
            if (found[i].State != 0 || found[i].WorkspaceBytes != 0) continue;
            best ??= found[i].Algorithm;
            var knowsAll = true;
            foreach (ref readonly var other in others) knowsAll = knowsAll && Knows(other, found[i].Algorithm);
            if (knowsAll) return found[i].Algorithm;
        }

        return best;
    }

    /// <summary>Whether a kernel that was chosen for another shape says that it can do this one.</summary>
    private bool Knows(in ProductShape shape, ProductAlgorithm algorithm)
    {
        using var layouts = new Layouts(shape, _type);
        Heuristic found;
        var check = (delegate* unmanaged<
            nint, nint, nint, nint, nint, nint, ProductAlgorithm*, Heuristic*, int>)Export("cublasLtMatmulAlgoCheck");
        return check(
            _handle, _operation, layouts.Weights, layouts.Input, layouts.Output, layouts.Output, &algorithm, &found)
            == 0 && found.WorkspaceBytes == 0;
    }

    /// <summary>Starts a product on a stream.</summary>
    /// <returns>False when the kernel cannot do it after all; nothing was started then.</returns>
    public bool Multiply(
        in ProductShape shape, ProductAlgorithm algorithm, nint input, nint weights, nint output, CudaStream stream)
    {
        using var layouts = new Layouts(shape, _type);
        var (one, zero) = (1f, 0f);
        var multiply = (delegate* unmanaged<
            nint, nint, float*, nint, nint, nint, nint, float*, nint, nint, nint, nint, ProductAlgorithm*, nint, nuint,
            nint, int>)Export("cublasLtMatmul");
        return multiply(
            _handle, _operation, &one, weights, layouts.Weights, input, layouts.Input, &zero, output, layouts.Output,
            output, layouts.Output, &algorithm, 0, 0, stream.Handle) == 0;
    }

    public void Dispose()
    {
        if (_preference != 0) Free("cublasLtMatmulPreferenceDestroy", _preference);
        if (_operation != 0) Free("cublasLtMatmulDescDestroy", _operation);
        if (_handle != 0) Free("cublasLtDestroy", _handle);
        _handle = _operation = _preference = 0;
    }

    private static void Free(string export, nint owned) =>
        _ = ((delegate* unmanaged<nint, int>)Export(export))(owned);

    private static void Set<T>(string export, nint owner, int attribute, T value) where T : unmanaged
    {
        var set = (delegate* unmanaged<nint, int, void*, nuint, int>)Export(export);
        Needed(set(owner, attribute, &value, (nuint)sizeof(T)), export);
    }

    private static void Needed(int status, string call)
    {
        if (status != 0) throw new KernelsUnavailableException($"cuBLAS answered error {status} to {call}.");
    }

    private static nint Export(string name) => NativeLibrary.TryGetExport(Library.Value, name, out var address)
        ? address : throw new KernelsUnavailableException($"This cuBLAS has no {name}.");

    private static nint Find()
    {
        // libtorch brought it along: it is loaded already and is found by its name.
        foreach (var name in Names)
        {
            if (NativeLibrary.TryLoad(name, out var library)) return library;
        }

        throw new KernelsUnavailableException("No libcublasLt was found beside libtorch.");
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Heuristic
    {
        public ProductAlgorithm Algorithm;
        public nuint WorkspaceBytes;
        public int State;
        public float Waves;
        public long Reserved0;
        public long Reserved1;
    }

    /// <summary>The three matrices in cuBLAS's terms, which are those of columns: what is row by row here is column by
    /// column there.</summary>
    private readonly ref struct Layouts
    {
        public Layouts(in ProductShape shape, int type)
        {
            var (width, stride) = ((ulong)shape.Width, (long)shape.InputStride);
            Weights = Make(type, width, (ulong)shape.Outputs, stride, shape.Parts, shape.PartStride);
            Input = Make(type, width, (ulong)shape.Rows, stride, shape.Parts, shape.PartStride);
            Output = Make(
                shape.IsWide ? TypeFloat32 : type, (ulong)shape.Outputs, (ulong)shape.Rows, shape.Outputs, shape.Parts,
                (long)shape.Rows * shape.Outputs);
        }

        public nint Weights { get; }

        public nint Input { get; }

        public nint Output { get; }

        public void Dispose()
        {
            foreach (var layout in (ReadOnlySpan<nint>)[Weights, Input, Output])
                Free("cublasLtMatrixLayoutDestroy", layout);
        }

        private static nint Make(int type, ulong rows, ulong columns, long stride, int parts, long partStride)
        {
            nint layout;
            var make = (delegate* unmanaged<nint*, int, ulong, ulong, long, int>)Export("cublasLtMatrixLayoutCreate");
            Needed(make(&layout, type, rows, columns, stride), "cublasLtMatrixLayoutCreate");
            if (parts == 1) return layout;
            Set("cublasLtMatrixLayoutSetAttribute", layout, BatchCount, parts);
            Set("cublasLtMatrixLayoutSetAttribute", layout, BatchStride, partStride);
            return layout;
        }
    }
}
