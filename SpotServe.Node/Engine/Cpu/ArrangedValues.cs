using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>
/// The rows of values of a product in float32, in the order in which its loops read them: tiles of 8, 4 or 1 rows one
/// behind the other; in a tile, a block of inputs behind the other; in a block first the halves of all rows that meet
/// the weights' <see cref="ICpuWeight.First"/>, then those of <see cref="ICpuWeight.Second"/>. Inputs are filled up
/// with zeros to whole blocks, rows to whole tiles.
/// </summary>
internal sealed unsafe class ArrangedValues<T> : IDisposable
    where T : struct, ICpuWeight
{
    private const int Block = ICpuWeight.Block;

    private const int Half = Block / 2;

    private float* _values;
    private long _capacity;

    /// <summary>Rows of the tile that begins where <paramref name="left"/> rows are left. Fewer rows than it has cost
    /// no more than reading the weights once more would.</summary>
    public static int TileRows(int left) => left > 4 ? 8 : left > 1 ? 4 : 1;

    /// <param name="values">[rows, inputs] in the weight type.</param>
    public float* Arrange(void* values, int rows, int inputs)
    {
        var width = (inputs + Block - 1) / Block * Block;
        Hold((long)(rows + 8) * width);
        var to = _values;
        for (var row = 0; row < rows;)
        {
            var tile = TileRows(rows - row);
            for (var at = 0; at < tile; at++, row++)
            {
                var from = row < rows ? (byte*)values + ((long)row * inputs * T.Bytes) : null;
                ArrangeRow(from, inputs, tile, to + (at * Half));
            }

            to += tile * width;
        }

        return _values;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_values);
        _values = null;
        _capacity = 0;
    }

    /// <param name="from">Null for a row of zeros.</param>
    private static void ArrangeRow(byte* from, int inputs, int tile, float* to)
    {
        var rest = stackalloc byte[Block * sizeof(float)];
        for (var at = 0; at < inputs; at += Block, to += Block * tile)
        {
            var source = rest;
            if (from is null) new Span<byte>(rest, Block * T.Bytes).Clear();
            else if (inputs - at >= Block) source = from + (at * T.Bytes);
            else CopyRest(from + (at * T.Bytes), inputs - at, rest);
            Vector512.Store(T.First(source), to);
            Vector512.Store(T.Second(source), to + (Half * tile));
        }
    }

    /// <summary>A block of the last <paramref name="count"/> elements of a row and zeros.</summary>
    public static void CopyRest(byte* source, int count, byte* block)
    {
        new Span<byte>(block, Block * T.Bytes).Clear();
        new ReadOnlySpan<byte>(source, count * T.Bytes).CopyTo(new Span<byte>(block, Block * T.Bytes));
    }

    private void Hold(long floats)
    {
        if (floats <= _capacity) return;
        NativeMemory.AlignedFree(_values);
        _capacity = 0;
        _values = (float*)NativeMemory.AlignedAlloc((nuint)(floats * sizeof(float)), 64);
        _capacity = floats;
    }
}
