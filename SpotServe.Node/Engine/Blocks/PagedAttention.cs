using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Blocks;

/// <summary>What a layer's attention may have beyond queries, keys and values.</summary>
/// <param name="Rotary">Turns queries and keys by their position; null where positions are added to the
/// embedding.</param>
/// <param name="Window">Tokens that a token looks back on, itself included; 0 is all.</param>
/// <param name="QueryNorm">Norm over each query head; null for none.</param>
/// <param name="KeyNorm">Norm over each key head; null for none.</param>
internal sealed record AttentionOptions(
    Rotary? Rotary = null, int Window = 0, INormalization? QueryNorm = null, INormalization? KeyNorm = null)
{
    /// <summary>Norm over all queries and over all keys of a token; null for none.</summary>
    public WidthNorm? WidthNorm { get; init; }

    /// <summary>What scores are multiplied by; null: one over the root of the head size.</summary>
    public double? Scale { get; init; }

    /// <summary>Scores s become cap * tanh(s / cap); 0 for none.</summary>
    public double SoftCap { get; init; }

    /// <summary>Whether this is attention that fused kernels know: scaled by the head size, norms over heads at
    /// most.</summary>
    public bool IsPlain => WidthNorm is null && Scale is null && SoftCap == 0;
}

/// <summary>Self-attention of one layer over this rank's heads, with its keys and values in pages.</summary>
internal sealed class PagedAttention : IDisposable
{
    private readonly StageContext _stage;
    private readonly HeadPart _heads;
    private readonly ColumnLinear _queryKeyValue;
    private readonly RowLinear _output;
    private readonly AttentionOptions _options;
    private readonly double _queryFactor;
    private readonly Tensor _pages;
    private readonly Tensor _slots;
    private readonly Tensor _keys;
    private readonly Tensor _values;
    private readonly Tensor _headIndex;

    /// <param name="layer">Of the model; its pages are the stage's.</param>
    /// <param name="queryKeyValue">[(query heads + 2 kv heads) x head size, hidden] of this rank, in that
    /// order.</param>
    public PagedAttention(
        StageContext stage, int layer, ColumnLinear queryKeyValue, RowLinear output, AttentionOptions options)
    {
        _stage = stage;
        _heads = stage.Heads;
        _queryKeyValue = queryKeyValue;
        _output = output;
        _options = options;
        // All that computes scores divides them by this root, so queries are stretched by the rest.
        _queryFactor = options.Scale is { } scale ? scale * Math.Sqrt(stage.Heads.HeadSize) : 1;
        _pages = stage.Pages(layer);
        _slots = _pages.permute(0, 3, 1, 2, 4).DetachFromDisposeScope();
        _keys = _pages.select(1, 0).DetachFromDisposeScope();
        _values = _pages.select(1, 1).DetachFromDisposeScope();
        var index = _heads.IsRegular
            ? Enumerable.Range(0, _heads.KvHeads).Select(head => (long)head)
            : _heads.KvHeadOfQuery.Select(head => (long)head);
        _headIndex = tensor(index.ToArray(), ScalarType.Int64).view(1, -1, 1).to(stage.Device)
            .DetachFromDisposeScope();
    }

    /// <summary>The layer's cache: [pages, 2 (keys, values), kv heads, 16 tokens, head size].</summary>
    public Tensor Pages => _pages;

    public ColumnLinear QueryKeyValue => _queryKeyValue;

    public RowLinear Output => _output;

    public AttentionOptions Options => _options;

    /// <summary>Query heads that share one head of the gathered keys.</summary>
    private int Group => _heads.IsRegular ? _heads.QueryHeads / _heads.KvHeads : 1;

    private int GatheredHeads => _heads.IsRegular ? _heads.KvHeads : _heads.QueryHeads;

    /// <summary>Appends the step's keys and values to the pages and adds attention's result to the residual
    /// stream.</summary>
    /// <param name="normed">[tokens, hidden] in the weight type.</param>
    public void AddTo(Tensor residual, Tensor normed)
    {
        var batch = _stage.Batch;
        var all = _stage.Multiply(_queryKeyValue, normed);
        if (_stage.Chunks is { } chunks)
        {
            chunks.Place(all, _options, _pages);
        }
        else
        {
            Position(all);
            WriteCache(all);
        }

        if (_stage.Chunks is null && batch.Groups.Count == 1 && !(batch.Groups[0].IsDecode && _stage.Cpu is not null))
        {
            _output.AddTo(residual, Attend(all, 0));
            return;
        }

        var joined = empty([batch.TokenCount, _heads.QueryWidth], _stage.WeightType, _stage.Device);
        var singles = 0;
        for (var i = 0; i < batch.Groups.Count; i++)
        {
            var group = batch.Groups[i];
            if (_stage.Chunks is { } kernels) kernels.Attend(all, _pages, group, singles, _options.Window, joined);
            else if (group.IsDecode && _options.SoftCap == 0 && _stage.Cpu is { } cpu)
                cpu.Attend(group, all, _pages, _options.Window, joined);
            else joined.narrow(0, group.FirstRow, group.Rows).copy_(Attend(all, i));
            if (group.IsDecode) singles += group.Rows;
        }

        _output.AddTo(residual, joined);
    }

    public void Dispose()
    {
        foreach (var tensor in new[] { _keys, _values, _slots, _headIndex }) tensor.Dispose();
    }

    /// <summary>Norms and rotary positions, in place.</summary>
    private void Position(Tensor all)
    {
        _options.WidthNorm?.Apply(all);
        if (_options.QueryNorm is not null)
        {
            NormHeads(all.narrow(1, 0, _heads.QueryWidth), _heads.QueryHeads, _options.QueryNorm);
            NormHeads(all.narrow(1, _heads.QueryWidth, _heads.KvWidth), _heads.KvHeads, _options.KeyNorm!);
        }

        _options.Rotary?.Apply(all, _heads.QueryHeads + _heads.KvHeads);
        if (Math.Abs(_queryFactor - 1) > 1e-9) all.narrow(1, 0, _heads.QueryWidth).mul_(_queryFactor);
    }

    private void WriteCache(Tensor all)
    {
        if (_stage.Cpu is { } cpu)
        {
            cpu.WriteCache(all, _pages);
            return;
        }

        var keysValues = all.narrow(1, _heads.QueryWidth, 2 * _heads.KvWidth)
            .view(-1, 2, _heads.KvHeads, _heads.HeadSize);
        if (_stage.Batch.FreshPages.shape[0] > 0) _pages.index_fill_(0, _stage.Batch.FreshPages, 0);
        _slots.index_put_(keysValues, _stage.Batch.SlotPages, _stage.Batch.SlotOffsets);
    }

    private void NormHeads(Tensor part, int heads, INormalization norm)
    {
        var view = part.view(-1, heads, _heads.HeadSize);
        view.copy_(norm.Apply(view.to(ScalarType.Float32)));
    }

    /// <param name="all">[tokens, ..] with the queries first.</param>
    private Tensor Attend(Tensor all, int groupIndex)
    {
        var group = _stage.Batch.Groups[groupIndex];
        var queries = all.narrow(1, 0, _heads.QueryWidth).narrow(0, group.FirstRow, group.Rows);
        var mask = _stage.Batch.Mask(groupIndex, _options.Window, _stage.WeightType);
        var table = _stage.Batch.PageTable(group).unsqueeze(1);
        var keys = Gather(_keys, table, group);
        var values = Gather(_values, table, group);
        return group.IsDecode
            ? AttendTokens(queries, keys, values, mask, group.Rows)
            : AttendChunk(queries, keys, values, mask, group.Rows);
    }

    /// <summary>[sequences, heads, length, head size].</summary>
    private Tensor Gather(Tensor pool, Tensor table, AttentionGroup group) =>
        pool.index(table, _headIndex)
            .view(group.Sequences, GatheredHeads, group.PagesEach * KvPage.Tokens, _heads.HeadSize)
            .narrow(2, 0, group.Length);

    /// <summary>One token of each sequence: the query heads that share a key head are its rows.</summary>
    private Tensor AttendTokens(Tensor queries, Tensor keys, Tensor values, Tensor mask, int rows) =>
        Attended(
            queries.view(rows, GatheredHeads, Group, _heads.HeadSize), keys, values, mask.view(rows, 1, 1, -1))
            .reshape(rows, _heads.QueryWidth);

    /// <summary>Many tokens of one sequence: key heads are the batch, and the query heads that share one its
    /// heads.</summary>
    private Tensor AttendChunk(Tensor queries, Tensor keys, Tensor values, Tensor mask, int rows)
    {
        var byHead = queries.view(rows, GatheredHeads, Group, _heads.HeadSize).permute(1, 2, 0, 3);
        return Attended(byHead, Shared(keys), Shared(values), mask.view(1, 1, rows, -1))
            .permute(2, 0, 1, 3).reshape(rows, _heads.QueryWidth);

        Tensor Shared(Tensor cached) =>
            cached.squeeze(0).unsqueeze(1).expand(GatheredHeads, Group, cached.shape[2], _heads.HeadSize);
    }

    private Tensor Attended(Tensor queries, Tensor keys, Tensor values, Tensor mask)
    {
        if (_options.SoftCap == 0)
            return nn.functional.scaled_dot_product_attention(queries, keys, values, mask);
        var scores = queries.matmul(keys.transpose(-2, -1)).to(ScalarType.Float32)
            .mul_(1 / Math.Sqrt(_heads.HeadSize));
        scores.div_(_options.SoftCap).tanh_().mul_(_options.SoftCap).add_(mask);
        return scores.softmax(-1).to(values.dtype).matmul(values);
    }
}
