using SpotServe.Actors.Execution;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// Runs single tokens of many sequences through a stage with kernels of our own: recorded once for each size, then
/// started as one. Bits do not depend on the batch, on how many ranks share the stage, or on where stages are cut.
/// Used by the engine's thread; made on any.
/// </summary>
internal sealed unsafe class CudaDecoder : IDisposable, ISampler
{
    /// <summary>The first devices with clusters and programmatic dependent launch.</summary>
    public const int CapabilityMin = 90;

    private readonly StageContext _stage;
    private readonly CudaModule _module;
    private readonly DecodeBuffers _buffers;
    private readonly StepSlots _slots;
    private readonly DecodeLaunches _launches;
    private readonly DecodeOutput? _output;
    private readonly DecodeModel _model;
    private readonly Tensor _exchanged;
    private readonly Dictionary<(int Section, PassSize Size), CudaGraph> _graphs = [];

    /// <param name="isInvariant">Prompts, too, are to have the same bits on every number of ranks.</param>
    /// <exception cref="KernelsUnavailableException">The kernels cannot be compiled here.</exception>
    /// <exception cref="EngineLostException">The device has too little memory or failed.</exception>
    public CudaDecoder(StageContext stage, DecodeModel model, CudaStream stream, bool isInvariant)
    {
        _stage = stage;
        _model = model;
        Stream = stream;
        var device = stage.Device.index;
        CudaDriver.UseContext(device);
        var heads = stage.Heads;
        var hasProducts = isInvariant && ChunkProducts.IsFor(stage.RankCount)
            && CudaDriver.Capability(device) == ChunkProducts.Capability;
        var parts = KernelPart.Of(
            stage.Model, stage.RankCount, heads.QueryHeads / heads.KvHeads, model.HasFusedHeads(heads),
            RowBlocks.For(stage.RankCount, stage.Model.HiddenSize, CudaDriver.MultiprocessorCount(device)));
        if (hasProducts) parts = [.. parts, .. KernelPart.OfPrompts(stage.Model, stage.RankCount)];
        // Ranks that sum have buffers for as many columns as the small products know.
        var isWide = hasProducts && stage.RankCount == 1
            && stage.Assignment.SequencesMax > DecodeBuffers.TokensMax;
        if (isWide) parts = [.. parts, .. KernelPart.OfWidePasses(stage.Model)];
        _module = new CudaModule(KernelCache.Load(device, parts));
        var vocabulary = model.Head is { } head ? (int)head.Weight.shape[0] : 1;
        _buffers = new DecodeBuffers(
            stage, vocabulary, isWide ? DecodeBuffers.WideTokensMax : DecodeBuffers.TokensMax);
        _slots = new StepSlots(stage.Model.ContextMax, _buffers.Columns, stage.Device);
        _launches = new DecodeLaunches(stage, model, _buffers, _slots, _module, stream);
        Chunks = new ChunkKernels(stage, _module, stream, _buffers);
        if (hasProducts) Products = new ChunkProducts(stage, _module, stream);
        if (stage.RankCount is > 1 and <= PeerEnd.RanksMax && PeerAccess.HasPeers(device)) End = PeerEnd.Make(stage);
        _output = model.Head is null ? null : new DecodeOutput(stage, _buffers, stream, vocabulary, End is not null);
        _exchanged = zeros([DecodeBuffers.TokensMax, stage.Model.HiddenSize], ScalarType.Float32).pin_memory()
            .DetachFromDisposeScope();
    }

    /// <summary>Whether a device and a type of weights are such that the kernels may know the model.</summary>
    public static bool MayServe(Device device, ElementType type) => device.type == DeviceType.CUDA
        && type is ElementType.BFloat16 or ElementType.Float16
        && CudaDriver.Capability(device.index) >= CapabilityMin;

    /// <summary>What the decoder's work is queued on; the rest of a step must be queued there as well.</summary>
    public CudaStream Stream { get; }

    /// <summary>Kernels for what is not decoded, on the same stream.</summary>
    public ChunkKernels Chunks { get; }

    /// <summary>Products of prompts, on the same stream; null where libtorch's are used.</summary>
    public ChunkProducts? Products { get; }

    /// <summary>What the other ranks' GPUs may write into, until the ranks meet; null where they cannot.</summary>
    public PeerEnd? End { get; private set; }

    /// <summary>Every sampled row's logits are brought to the host, which then draws.</summary>
    public bool BringsLogits { get; set; }

    /// <summary>The kernels know temperature, top-k and top-p.</summary>
    public bool Draws(in SequenceChunk chunk) => KernelSampling.Knows(chunk);

    /// <summary>Meets the stage's other ranks, within the first step: from then on their GPUs may sum by
    /// themselves.</summary>
    /// <param name="how">Says how they do.</param>
    /// <exception cref="StepFailedException">A rank abandoned the step.</exception>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    public PeerLinks? Meet(ICollective collective, out string how)
    {
        var peers = PeerLinks.Join(collective, End ?? PeerEnd.None, Stream, _module, out how);
        // Used up: shared, or of no use.
        End = null;
        return peers;
    }

    /// <summary>Runs columns of a step, as many as there are; 64, or 256 where the wide products are there, share one
    /// reading of the weights.</summary>
    /// <param name="columns">In ascending order of row; a chunk's in order of position.</param>
    /// <param name="input">Pinned float32 [tokens of the step, hidden]: the previous stage's states.</param>
    /// <param name="output">The same, for the next stage.</param>
    /// <param name="drawn">Takes a sample's index in the step and its token, on rank 0 of the last stage.</param>
    /// <param name="draw">Takes a sample's index and its logits where the token is to be drawn here.</param>
    public void Run(
        StepPlan plan, ReadOnlySpan<DecodeColumn> columns, float* input, float* output,
        Action<int, int> drawn, Action<int, float[]> draw)
    {
        for (var first = 0; first < columns.Length; first += _buffers.Columns)
        {
            var pass = columns.Slice(first, Math.Min(_buffers.Columns, columns.Length - first));
            var size = Fill(plan, pass);
            if (_stage.Peers is not null) SetSequence(plan.StepId, first / _buffers.Columns);
            _slots.Upload(Stream, size.Tokens, size.TableStride);
            if (_model.Embedding is null) MoveRows(pass, input, isInput: true);
            RunSections(size);
            if (_output is null)
            {
                MoveRows(pass, output, isInput: false);
                Stream.Synchronize();
                _stage.Peers?.ThrowIfGivenUp(_stage.Collective!);
            }
            else
            {
                _output.Read(pass, _stage.Collective!, BringsLogits, drawn, draw);
            }
        }
    }

    public void Dispose()
    {
        foreach (var graph in _graphs.Values) graph.Dispose();
        End?.Dispose();
        _output?.Dispose();
        _exchanged.Dispose();
        Chunks.Dispose();
        _slots.Dispose();
        _buffers.Dispose();
        _module.Dispose();
    }

    private PassSize Fill(StepPlan plan, ReadOnlySpan<DecodeColumn> pass)
    {
        var window = _model.Layers.Max(layer => layer.Window);
        var unlimited = _model.Layers.Any(layer => layer.Window == 0);
        var splits = 1;
        foreach (var column in pass) splits = Math.Max(splits, SplitsOf(column.Position, First(column.Position)));
        if (splits > AttentionLaunch.ClusterSplitsMax)
            splits = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)splits);
        var size = new PassSize(Bucket(pass.Length), splits);
        for (var i = 0; i < pass.Length; i++)
        {
            ref readonly var column = ref pass[i];
            ref readonly var chunk = ref plan.Chunks[column.Chunk];
            // The first of the chunk's columns in this pass: what lies below was written before.
            var stable = i > 0 && pass[i - 1].Chunk == column.Chunk ? _slots.StableOf(i - 1) : column.Position;
            var pages = plan.Pages.Slice(chunk.PageOffset, KvPage.Count(column.Position + 1));
            _slots.Set(
                i, plan.Tokens[column.Row], column.Position, stable,
                First(column.Position) / DecodeLaunches.SplitTokens * DecodeLaunches.PagesASplit, pages,
                size.TableStride);
            _slots.SetSampling(i, chunk.Sampling);
        }

        for (var i = pass.Length; i < size.Tokens; i++) _slots.SetIdle(i);
        return size;

        // Layers of one model have one window or none.
        int First(int position) => unlimited ? 0 : Math.Max(0, position + 1 - window);
    }

    private static int SplitsOf(int position, int first) =>
        (position / DecodeLaunches.SplitTokens) - (first / DecodeLaunches.SplitTokens) + 1;

    /// <summary>Sizes that are recorded: few, and never far above what is needed.</summary>
    private static int Bucket(int columns) => columns switch
    {
        1 or 2 => columns,
        <= 4 => 4,
        <= DecodeBuffers.TokensMax => (columns + 7) / 8 * 8,
        _ => (columns + DecodeBuffers.TokensMax - 1) / DecodeBuffers.TokensMax * DecodeBuffers.TokensMax,
    };

    private void SetSequence(long step, int pass)
    {
        var passes = (_stage.Assignment.StepTokensMax + _buffers.Columns - 1) / _buffers.Columns;
        // One more number than sums: the logits'.
        _slots.SetSequence(PeerPass.FirstNumber(step, pass, passes, _launches.SumCount + 1), step);
    }

    private void RunSections(PassSize size)
    {
        var bytes = (long)size.Tokens * _stage.Model.HiddenSize * sizeof(float);
        var host = TensorMemory.Pointer(_exchanged);
        for (var section = 0; section < _launches.SectionCount; section++)
        {
            Graph(section, size).Launch();
            if (section + 1 == _launches.SectionCount) return;
            Stream.CopyToHost(host, _buffers.Incoming, bytes);
            Stream.Synchronize();
            _stage.Collective!.AllReduceSum(new Span<float>(host, (int)(bytes / sizeof(float))));
            Stream.CopyToDevice(_buffers.Incoming, host, bytes);
        }
    }

    /// <summary>Recording takes less than a millisecond, so a size is recorded when it first occurs.</summary>
    private CudaGraph Graph(int section, PassSize size)
    {
        if (_graphs.TryGetValue((section, size), out var known)) return known;
        _launches.Prepare(size);
        var graph = Stream.Capture(() => _launches.Enqueue(section, size));
        _graphs.Add((section, size), graph);
        return graph;
    }

    /// <summary>Brings the columns' rows in, or takes them out; runs of neighbours in one copy.</summary>
    private void MoveRows(ReadOnlySpan<DecodeColumn> pass, float* host, bool isInput)
    {
        var width = _stage.Model.HiddenSize;
        for (var first = 0; first < pass.Length;)
        {
            var end = first + 1;
            while (end < pass.Length && pass[end].Row == pass[end - 1].Row + 1) end++;
            var rows = host + ((long)pass[first].Row * width);
            var bytes = (long)(end - first) * width * sizeof(float);
            var offset = (nint)((long)first * width * sizeof(float));
            if (isInput) Stream.CopyToDevice(_buffers.Incoming + offset, rows, bytes);
            else Stream.CopyToHost(rows, _buffers.Residual + offset, bytes);
            first = end;
        }
    }
}

/// <summary>One token that the kernels run.</summary>
/// <param name="Chunk">Its chunk in the plan.</param>
/// <param name="Row">Its row among the step's tokens.</param>
/// <param name="Position">In its sequence.</param>
/// <param name="Sample">Index among the step's drawn tokens; null where nothing is drawn after it.</param>
/// <param name="DrawsOnHost">The kernels cannot draw what its chunk asks for.</param>
internal readonly record struct DecodeColumn(int Chunk, int Row, int Position, int? Sample, bool DrawsOnHost);
