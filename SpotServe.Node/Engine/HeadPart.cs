namespace SpotServe.Node.Engine;

/// <summary>
/// The attention heads of one tensor rank, and which of its key/value heads each query head reads.
/// </summary>
/// <param name="QueryHeads">Query heads here.</param>
/// <param name="KvHeads">Key/value heads here; ranks may hold the same one.</param>
/// <param name="KvHeadOfQuery">Local kv head of each local query head.</param>
internal sealed record HeadPart(int QueryHeads, int KvHeads, int HeadSize, int[] KvHeadOfQuery)
{
    public int QueryWidth => QueryHeads * HeadSize;

    public int KvWidth => KvHeads * HeadSize;

    /// <summary>True when every kv head serves equally many query heads in order: attention can then be batched over
    /// kv heads. It is false when a rank's share begins or ends inside a group.</summary>
    public bool IsRegular { get; } = QueryHeads % KvHeads == 0
        && KvHeadOfQuery.Select((kv, query) => kv == query / (QueryHeads / KvHeads)).All(same => same);

    public static HeadPart Of(ModelSpec model, int rank, int rankCount)
    {
        var query = TensorSlices.QueryHeads(model, rank, rankCount);
        var kv = TensorSlices.KvHeads(model, rank, rankCount);
        var group = model.HeadCount / model.KvHeadCount;
        var map = new int[query.Count];
        for (var i = 0; i < map.Length; i++) map[i] = (int)(((query.First + i) / group) - kv.First);
        return new HeadPart((int)query.Count, (int)kv.Count, model.HeadSize, map);
    }
}
