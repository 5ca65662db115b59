using System.Runtime.InteropServices;
using SpotServe.Actors;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>How the copy engine is to read a matrix, as the driver encodes it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TensorMap
{
    public const int Bytes = 128;

    public fixed ulong Words[Bytes / sizeof(ulong)];
}

/// <summary>See products.cuh.</summary>
/// <remarks>The size is what the alignment of 64 makes of it there.</remarks>
[StructLayout(LayoutKind.Sequential, Size = 448)]
internal struct ProductArguments
{
    public TensorMap Input;
    public TensorMap Weights;
    public TensorMap Second;
    public nint Output;
    public nint Bias;
    public int Rows;
    public int Outputs;
    public int OutputStride;
    public int LeafWidth;
}

/// <summary>
/// Makes tensor maps of row-major matrices: [rows][leaves][width of a leaf], read in boxes of some rows by 64 elements
/// of one leaf, 128 bytes a row, swizzled. Beyond a leaf's end and the last row the copy engine reads zeros. Those of
/// weights are kept.
/// </summary>
internal sealed unsafe partial class TensorMaps(bool isFloat16)
{
    /// <summary>A leaf's width is a multiple of this.</summary>
    public const int ColumnsUnit = 8;

    private const string Library = "libcuda.so.1";
    private const int TypeFloat16 = 6;
    private const int TypeBfloat16 = 9;
    private const int Swizzle128 = 3;
    private const int PromoteTo256 = 3;
    private const int BoxSide = 64;
    private const int Alignment = 64;

    private readonly Dictionary<(nint Address, int Rows, int Width, int Leaves, int BoxRows), TensorMap> _ofWeights =
        [];

    /// <summary>Of a matrix that stays where it is as long as this lives.</summary>
    public TensorMap OfWeight(nint address, int rows, int width, int leaves, int boxRows = BoxSide)
    {
        var key = (address, rows, width, leaves, boxRows);
        if (_ofWeights.TryGetValue(key, out var known)) return known;
        var made = Of(address, rows, width, leaves, boxRows);
        _ofWeights.Add(key, made);
        return made;
    }

    /// <param name="address">Of [rows][leaves][width] elements without gaps, a multiple of 16.</param>
    /// <param name="boxRows">Rows of a box.</param>
    public TensorMap Of(nint address, int rows, int width, int leaves, int boxRows = BoxSide)
    {
        Invariant.Holds(address % 16 == 0 && width % ColumnsUnit == 0);
        var lengths = stackalloc ulong[] { (ulong)width, (ulong)leaves, (ulong)rows };
        var strides = stackalloc ulong[] { (ulong)width * 2, (ulong)width * (ulong)leaves * 2 };
        var box = stackalloc uint[] { BoxSide, 1, (uint)boxRows };
        var every = stackalloc uint[] { 1, 1, 1 };
        // The driver wants its result aligned.
        var room = stackalloc byte[TensorMap.Bytes + Alignment];
        var map = (TensorMap*)(((nint)room + Alignment - 1) & ~(nint)(Alignment - 1));
        CudaDriver.Ran(
            Encode(
                map, isFloat16 ? TypeFloat16 : TypeBfloat16, 3, address, lengths, strides, box, every, interleave: 0,
                Swizzle128, PromoteTo256, fill: 0),
            "describe a matrix to the copy engine");
        return *map;
    }

    [LibraryImport(Library, EntryPoint = "cuTensorMapEncodeTiled")]
    private static partial int Encode(
        TensorMap* map, int type, uint dimensions, nint address, ulong* lengths, ulong* strides, uint* box,
        uint* every, int interleave, int swizzle, int promotion, int fill);
}
