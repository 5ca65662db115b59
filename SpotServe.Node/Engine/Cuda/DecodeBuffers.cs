using SpotServe.Actors;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// Device memory of a decode pass, at fixed addresses so that passes can be recorded: what the kernels hand each other.
/// TorchSharp owns it, like all memory of the device.
/// </summary>
internal sealed unsafe class DecodeBuffers : IDisposable
{
    /// <summary>Columns of a pass at most where weights go through the small products: what one reading of them
    /// serves.</summary>
    public const int TokensMax = 64;

    /// <summary>Columns of a pass at most where the wide products are there.</summary>
    public const int WideTokensMax = 256;

    private readonly StageContext _stage;
    private readonly List<Tensor> _owned = [];
    private readonly Dictionary<int, nint> _partials = [];

    /// <param name="columns">Of a pass at most.</param>
    public DecodeBuffers(StageContext stage, int vocabulary, int columns)
    {
        _stage = stage;
        Columns = columns;
        var (model, heads) = (stage.Model, stage.Heads);
        var ranks = stage.RankCount;
        Residual = Make(ScalarType.Float32, model.HiddenSize);
        Incoming = Make(ScalarType.Float32, model.HiddenSize);
        Gained = Make(stage.WeightType, model.HiddenSize);
        Squares = Make(ScalarType.Float32, model.HiddenSize / 16);
        Queries = Make(stage.WeightType, heads.QueryWidth);
        HeadValues = Make(ScalarType.Float32, heads.QueryWidth + (2 * heads.KvWidth));
        Attended = Make(stage.WeightType, heads.QueryWidth);
        Gated = Make(stage.WeightType, model.IntermediateSize / ranks);
        Logits = Make(ScalarType.Float32, vocabulary);
        Drawn = Make(ScalarType.Int32, 1);
        Arrived = Make(ScalarType.Int32, AttentionLaunch.Columns(heads));
    }

    /// <summary>Columns of a pass at most.</summary>
    public int Columns { get; }

    /// <summary>[tokens, hidden], float32.</summary>
    public nint Residual { get; }

    /// <summary>[tokens, hidden], float32: the previous stage's states, or sums over the ranks.</summary>
    public nint Incoming { get; }

    /// <summary>[tokens, hidden]: the residual times the next norm's weights.</summary>
    public nint Gained { get; }

    /// <summary>[tokens, hidden / 16], float32.</summary>
    public nint Squares { get; }

    public nint Queries { get; }

    /// <summary>[tokens, query and kv heads], float32: before norms and turns.</summary>
    public nint HeadValues { get; }

    public nint Attended { get; }

    public nint Gated { get; }

    /// <summary>[tokens, this rank's vocabulary], float32.</summary>
    public nint Logits { get; }

    /// <summary>[tokens], int32.</summary>
    public nint Drawn { get; }

    /// <summary>[tokens, kv heads by queries of a block], int32, zero between passes.</summary>
    public nint Arrived { get; }

    /// <summary>Room for the parts of long contexts; made when a context first needs it.</summary>
    public nint Partial(int splits)
    {
        if (_partials.TryGetValue(splits, out var known)) return known;
        var heads = _stage.Heads;
        var made = Make(
            ScalarType.Float32, AttentionLaunch.Columns(heads) * AttentionLaunch.PartFloats(heads) * splits);
        _partials.Add(splits, made);
        return made;
    }

    public void Dispose()
    {
        foreach (var tensor in _owned) tensor.Dispose();
    }

    private nint Make(ScalarType type, long width)
    {
        // Zeros: columns that are not in use are computed along, and must stay finite.
        var tensor = zeros([Columns, width], type, _stage.Device).DetachFromDisposeScope();
        _owned.Add(tensor);
        return (nint)TensorMemory.Pointer(tensor);
    }
}

/// <summary>
/// The inputs of one decode pass, one slot each at a fixed place: token ids, positions, page tables. Written in pinned
/// memory and copied to the device as one block, only as far as it is used.
/// </summary>
internal sealed unsafe class StepSlots : IDisposable
{
    private const int Fields = 4;

    private readonly int _columns;
    private readonly Tensor _host;
    private readonly Tensor _device;
    private readonly int* _data;

    /// <param name="contextMax">Tokens of the longest sequence.</param>
    /// <param name="columns">Of a pass at most.</param>
    public StepSlots(int contextMax, int columns, Device device)
    {
        _columns = columns;
        // A table's length is rounded up to a power of two of splits.
        var splits = (int)System.Numerics.BitOperations.RoundUpToPowerOf2(
            (uint)((contextMax + DecodeLaunches.SplitTokens - 1) / DecodeLaunches.SplitTokens));
        var capacity = TableAt + ((long)columns * splits * DecodeLaunches.PagesASplit);
        _host = zeros([capacity], ScalarType.Int32).pin_memory().DetachFromDisposeScope();
        _device = zeros([capacity], ScalarType.Int32, device).DetachFromDisposeScope();
        _data = (int*)TensorMemory.Pointer(_host);
    }

    private int SamplingAt => Fields * _columns;

    private int SequenceAt => SamplingAt + (KernelSampling.Ints * _columns);

    private int TableAt => SequenceAt + 4;

    public nint Ids => Address(0);

    public nint Positions => Address(_columns);

    public nint Stable => Address(2 * _columns);

    public nint TableFirst => Address(3 * _columns);

    public nint Table => Address(TableAt);

    /// <summary>One <see cref="KernelSampling"/> for each column.</summary>
    public nint Sampling => Address(SamplingAt);

    /// <summary>Number of the pass's first sum over the ranks, and the step.</summary>
    public nint Sequence => Address(SequenceAt);

    public void SetSequence(uint first, long step)
    {
        _data[SequenceAt] = unchecked((int)first);
        _data[SequenceAt + 1] = unchecked((int)step);
    }

    public void SetSampling(int column, SamplingParameters sampling) =>
        ((KernelSampling*)(_data + SamplingAt))[column] = KernelSampling.Of(sampling);

    /// <summary>Fills a column.</summary>
    /// <param name="stable">Positions below this were written by earlier steps.</param>
    /// <param name="firstPage">Index of the first page that attention sees.</param>
    /// <param name="tableStride">Pages of a column's table, of this pass.</param>
    public void Set(
        int column, int id, int position, int stable, int firstPage, ReadOnlySpan<int> pages, int tableStride)
    {
        Invariant.Holds(pages.Length - firstPage <= tableStride);
        Mark(column, id, position, stable, firstPage);
        pages[firstPage..].CopyTo(new Span<int>(_data + TableAt + (column * tableStride), tableStride));
    }

    /// <summary>What a column was set to.</summary>
    public int StableOf(int column) => _data[(2 * _columns) + column];

    /// <summary>A column that is not in use: computed along and never written anywhere.</summary>
    public void SetIdle(int column) => Mark(column, id: 0, position: -1, stable: 0, firstPage: 0);

    public void Upload(CudaStream stream, int columns, int tableStride) =>
        stream.CopyToDevice(Address(0), _data, (TableAt + (columns * (long)tableStride)) * sizeof(int));

    public void Dispose()
    {
        _host.Dispose();
        _device.Dispose();
    }

    private void Mark(int column, int id, int position, int stable, int firstPage)
    {
        _data[column] = id;
        _data[_columns + column] = position;
        _data[(2 * _columns) + column] = stable;
        _data[(3 * _columns) + column] = firstPage;
    }

    private nint Address(int offset) => (nint)TensorMemory.Pointer(_device) + (offset * sizeof(int));
}
