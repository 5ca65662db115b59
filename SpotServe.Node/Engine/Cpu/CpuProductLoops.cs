using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SpotServe.Node.Engine.Cpu;

/// <summary>The outer loops of <see cref="CpuProducts{T}"/>: a group of matrix rows after the other, each with all
/// tiles of values, piece by piece of the inputs so that the values stay in the nearest cache.</summary>
internal static unsafe class CpuProductLoops<T>
    where T : struct, ICpuWeight
{
    /// <summary>Matrix rows of a group.</summary>
    public const int Group = CpuProductTiles<T>.Group;

    private const int Block = ICpuWeight.Block;
    private const int Lanes = 16;
    private const int TileRowsMax = 8;

    /// <summary>Floats of a piece of a tile's values: half of the nearest cache, whose rest weights and sums
    /// need.</summary>
    private const int PieceFloats = 6144;

    /// <summary>Bytes of weights from those that are multiplied to those that memory is asked for, at least.</summary>
    private const int LeadBytes = 9216;

    /// <summary>Groups [first, end) of matrix rows with all rows of values.</summary>
    // The loops are compiled at once, because the first tokens are waited for.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(in ProductShape shape, int first, int end)
    {
        // The sums of a group, and room to begin at a multiple of a vector's size.
        var room = stackalloc float[(Group * TileRowsMax * Lanes) + Lanes];
        var sums = (float*)(((nint)room + 63) / 64 * 64);
        for (var group = first; group < end; group++)
        {
            var values = (float*)shape.Arranged;
            for (var row = 0; row < shape.Rows;)
            {
                var tile = ArrangedValues<T>.TileRows(shape.Rows - row);
                SumUp(shape, group * Group, values, tile, sums, asks: row == 0);
                Put(shape, group * Group, row, Math.Min(tile, shape.Rows - row), sums);
                values += tile * ((shape.Inputs + Block - 1) / Block * Block);
                row += tile;
            }
        }
    }

    /// <summary>A group with a tile.</summary>
    /// <param name="asks">Whether this is the first tile to read the group, so that it asks memory for what comes: in
    /// the order in which it lies there.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SumUp(
        in ProductShape shape, int output, float* values, int tile, float* sums, bool asks)
    {
        var piece = PieceFloats / tile;
        var side = tile == 8 ? 3 : 4;
        // As near as it may be in time; where inputs come in pieces, the next group.
        var lead = shape.WholeInputs <= piece ? 1 + (LeadBytes / (side * shape.RowBytes)) : Group;
        var next = shape.Weights(output + (int)Math.Min(Group, lead * side));
        for (var at = 0; at < shape.WholeInputs; at += piece)
        {
            var blocks = Math.Min(piece, shape.WholeInputs - at) / Block;
            for (var i = 0; i < Group; i += side)
            {
                var rows = RowsAt(shape, output + i, at, asks ? next : null);
                Tile(tile, rows, values + ((long)at * tile), blocks, sums + (i * Lanes), begins: at == 0);
                next += side * blocks * Block * T.Bytes;
            }
        }

        if (shape.WholeInputs < shape.Inputs)
            SumUpRest(shape, output, values + ((long)shape.WholeInputs * tile), tile, side, sums);
    }

    /// <summary>What lies behind the last whole block of each matrix row, filled up with zeros.</summary>
    private static void SumUpRest(
        in ProductShape shape, int output, float* values, int tile, int side, float* sums)
    {
        var size = Block * T.Bytes;
        var rests = stackalloc byte[4 * Block * sizeof(float)];
        for (var i = 0; i < Group; i += side)
        {
            for (var row = 0; row < side; row++)
            {
                ArrangedValues<T>.CopyRest(
                    shape.Weights(output + i + row) + ((long)shape.WholeInputs * T.Bytes),
                    shape.Inputs - shape.WholeInputs, rests + (row * size));
            }

            var rows = new WeightRows(rests, rests + size, rests + (2 * size), rests + (3 * size), rests);
            Tile(tile, rows, values, 1, sums + (i * Lanes), begins: shape.WholeInputs == 0);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tile(int tile, in WeightRows rows, float* values, int blocks, float* sums, bool begins)
    {
        if (tile == 8) CpuProductTiles<T>.Eight(rows, values, blocks, sums, begins);
        else if (tile == 4) CpuProductTiles<T>.Four(rows, values, blocks, sums, begins);
        else
        {
            CpuProductTiles<T>.One(rows.W0, values, blocks, sums, begins);
            CpuProductTiles<T>.One(rows.W1, values, blocks, sums + Lanes, begins);
            CpuProductTiles<T>.One(rows.W2, values, blocks, sums + (2 * Lanes), begins);
            CpuProductTiles<T>.One(rows.W3, values, blocks, sums + (3 * Lanes), begins);
        }
    }

    /// <param name="next">What to ask for; null for what is read anyway.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static WeightRows RowsAt(in ProductShape shape, int output, int at, byte* next)
    {
        var offset = (long)at * T.Bytes;
        var first = shape.Weights(output) + offset;
        return new WeightRows(
            first, shape.Weights(output + 1) + offset, shape.Weights(output + 2) + offset,
            shape.Weights(output + 3) + offset, next is null ? first : next);
    }

    /// <summary>Adds up the lanes of a tile's sums and puts them where they belong.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Put(in ProductShape shape, int output, int row, int rows, float* vectors)
    {
        var sums = stackalloc float[(Group * TileRowsMax) + Lanes];
        for (var i = 0; i < rows * Group; i += Lanes) LaneSums.Of16(vectors + (i * Lanes), sums + i);
        var count = Math.Min(Group, shape.Outputs - output);
        for (var i = 0; i < rows; i++, sums += Group)
        {
            var at = ((long)(row + i) * shape.Outputs) + output;
            var o = 0;
            for (; o + 4 <= count; o += 4) Put(shape, at + o, Vector128.Load(sums + o));
            for (; o < count; o++) Put(shape, at + o, sums[o]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(in ProductShape shape, long at, Vector128<float> sums)
    {
        var wide = (float*)shape.Target + at;
        if (shape.Store == ProductStore.Weights) T.Write((void*)shape.Target, at, sums);
        else Vector128.Store(shape.Store == ProductStore.Set ? sums : sums + Vector128.Load(wide), wide);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(in ProductShape shape, long at, float sum)
    {
        var wide = (float*)shape.Target + at;
        if (shape.Store == ProductStore.Weights) T.Write((void*)shape.Target, at, sum);
        else *wide = shape.Store == ProductStore.Set ? sum : sum + *wide;
    }
}
