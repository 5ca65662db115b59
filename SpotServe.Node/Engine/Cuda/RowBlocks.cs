using System.Runtime.InteropServices;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// How the row-parallel products of a rank are cut into blocks. A warp sums one segment of a tile of 16 rows, so the
/// fewer segments a rank has, the more tiles a block of so many warps has, and the fewer blocks there are. None of it
/// changes a bit.
/// </summary>
/// <param name="Warps">Of a block.</param>
/// <param name="Each">Blocks that a multiprocessor must have room for.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct RowBlocks(int Warps, int Each)
{
    private const int WarpsMax = 8;
    private const int RowsATile = 16;

    /// <summary>Shared memory of a block of which a multiprocessor has room for one only.</summary>
    private const int MoreThanHalf = 116 * 1_024;

    /// <summary>What suits a stage's GPU.</summary>
    /// <param name="ranks">Of the stage.</param>
    /// <param name="hidden">Rows of the products.</param>
    public static RowBlocks For(int ranks, int hidden, int multiprocessors)
    {
        var tiles = (hidden + RowsATile - 1) / RowsATile;
        // With eight warps four ranks would have a block for every other multiprocessor. More blocks than
        // multiprocessors are worse: the last ones begin when the first ones end.
        var warps = ranks == 4 && tiles <= 2 * multiprocessors ? WarpsMax / 2 : WarpsMax;
        var tilesEach = warps * ranks / KernelPart.Segments;
        return new RowBlocks(warps, (tiles + tilesEach - 1) / tilesEach > multiprocessors ? 2 : 1);
    }

    /// <summary>Tiles of a block.</summary>
    /// <param name="ranks">Of the stage.</param>
    public int Tiles(int ranks) => Warps * ranks / KernelPart.Segments;

    /// <summary>Stages of a warp's ring, as decode.cu has them.</summary>
    /// <param name="tokenTiles">Tiles of 8 tokens.</param>
    public int Depth(int tokenTiles) => (Warps < WarpsMax, tokenTiles) switch
    {
        (true, <= 2) => 10,
        (true, <= 4) => 8,
        (true, _) => 6,
        (false, <= 4) => 4,
        _ => 3,
    };

    /// <summary>Shared memory to start a block with: where each multiprocessor can have a block of its own, none gets
    /// two while others have none.</summary>
    /// <param name="bytes">That the block needs.</param>
    public int SharedBytes(int bytes) => Each == 1 ? Math.Max(bytes, MoreThanHalf) : bytes;
}
