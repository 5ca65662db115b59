namespace SpotServe.Node.Engine.Cuda;

/// <summary>How attention of single tokens is started: which kernel, and how many runs of 256 positions a block has.
/// Neither changes a bit.</summary>
/// <param name="size">Tokens, and runs that the longest of them sees.</param>
internal sealed class AttentionLaunch(HeadPart heads, PassSize size, int multiprocessors)
{
    /// <summary>Longest contexts, in runs, whose parts are merged within a cluster.</summary>
    public const int ClusterSplitsMax = 8;

    /// <summary>Warps of a block, as attention.cuh has them.</summary>
    private const int Warps = 4;

    /// <summary>Query heads of a block at most.</summary>
    private const int QueriesMax = 8;

    /// <summary>Shared memory that a block may have.</summary>
    private const int SharedBytesMax = 227 * 1024;

    /// <summary>Blocks for each multiprocessor that are left when blocks get more runs.</summary>
    private const int BlocksEachMin = 15;

    /// <summary>Whether all pages of a warp are under way at a time: where a multiprocessor has one block at most,
    /// nothing else hides how long memory takes.</summary>
    private bool IsDeep => size.Tokens * Columns(heads) * size.Splits <= multiprocessors
        && SharedBytes(DeepPages) <= SharedBytesMax;

    /// <summary>Pages of a warp that are under way at a time, as decode.cu has them.</summary>
    private int DeepPages => heads.HeadSize <= 128 ? 4 : 2;

    private int ShallowPages => heads.QueryHeads == heads.KvHeads && heads.HeadSize <= 128 ? 2 : 1;

    /// <summary>Whether the parts of a token meet in memory instead of in a cluster.</summary>
    public bool MeetsInMemory => size.Splits > ClusterSplitsMax;

    public string Kernel => $"attention{(IsCluster ? "Cluster" : "Split")}{(IsDeep ? "Deep" : "")}";

    /// <summary>Runs that a block has: more than one where there are blocks enough all the same.</summary>
    public int SplitsEach
    {
        get
        {
            var each = 1;
            while (each < ClusterSplitsMax && size.Splits >= 4 * each
                && size.Tokens * Columns(heads) * (size.Splits / (2 * each)) >= BlocksEachMin * multiprocessors)
            {
                each *= 2;
            }

            return each;
        }
    }

    private bool IsCluster => size.Splits is > 1 and <= ClusterSplitsMax;

    /// <summary>Blocks of a token for each of its runs: one for up to 8 query heads that share a kv head.</summary>
    public static int Columns(HeadPart heads) =>
        heads.KvHeads * (((heads.QueryHeads / heads.KvHeads) + QueriesMax - 1) / QueriesMax);

    /// <summary>Floats of a run's part: values, largest score and sum of weights of each query.</summary>
    public static long PartFloats(HeadPart heads) =>
        Math.Min(QueriesMax, heads.QueryHeads / heads.KvHeads) * (heads.HeadSize + 4L);

    public LaunchShape Shape(bool startsEarly)
    {
        var blocks = (size.Splits + SplitsEach - 1) / SplitsEach;
        return new LaunchShape(
            blocks, Columns(heads), size.Tokens, Warps * 32, SharedBytes(IsDeep ? DeepPages : ShallowPages),
            IsCluster ? blocks : 1, startsEarly);
    }

    private int SharedBytes(int depth)
    {
        var pitch = ((heads.HeadSize + 15) / 16 * 16 * sizeof(ushort)) + 16;
        var parts = Warps + (IsCluster ? size.Splits : 0);
        return (Warps * depth * 2 * KvPage.Tokens * pitch) + (int)(parts * PartFloats(heads) * sizeof(float)) + 16;
    }
}
