using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Blocks;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>What stands between the products of a prompt's chunk, one kernel each. They run on the stream that
/// libtorch's operations of the step run on.</summary>
internal sealed unsafe class ChunkKernels : IDisposable
{
    private const int Threads = 256;
    private const int Warps = Threads / 32;
    private const int ElementsAThread = 8;
    private const int DrawThreads = 1024;

    private readonly StageContext _stage;
    private readonly CudaModule _module;
    private readonly CudaStream _stream;
    private readonly DecodeBuffers _buffers;
    private readonly ChunkSlots _slots;
    private readonly Tensor _drawn;
    private readonly int _multiprocessors;

    /// <param name="buffers">Of the decode passes on the same stream; the owner's.</param>
    public ChunkKernels(StageContext stage, CudaModule module, CudaStream stream, DecodeBuffers buffers)
    {
        _stage = stage;
        _module = module;
        _stream = stream;
        _buffers = buffers;
        _multiprocessors = CudaDriver.MultiprocessorCount(stage.Device.index);
        var rowsMax = stage.Assignment.SequencesMax;
        _slots = new ChunkSlots(rowsMax, stage.Model.ContextMax, stage.Device);
        _drawn = zeros([rowsMax], ScalarType.Int32).pin_memory().DetachFromDisposeScope();
    }

    /// <summary>Takes a plan's page tables and ways to draw in, before its layers run.</summary>
    public void Prepare(StepPlan plan) => _slots.Upload(plan, _stream);

    /// <summary>RMS norm of rows, in the weight type.</summary>
    /// <param name="values">[rows, width], float32, contiguous; its width is a multiple of 4.</param>
    public Tensor Norm(Tensor values, Tensor weight, double epsilon)
    {
        Invariant.Holds(values.is_contiguous() && values.shape[1] % 4 == 0);
        var result = empty(values.shape, _stage.WeightType, _stage.Device);
        var arguments = new NormArguments
        {
            Values = Address(values),
            Weight = Address(weight),
            Output = Address(result),
            Epsilon = (float)epsilon,
            Width = (int)values.shape[1],
        };
        var pointers = stackalloc void*[] { &arguments };
        Launch("normChunk", (int)values.shape[0], 1, 0, pointers);
        return result;
    }

    /// <summary>values = silu(gates) * values, in place; a multiple of 8 elements.</summary>
    public void Gate(Tensor gates, Tensor values)
    {
        Invariant.Holds(gates.is_contiguous() && values.is_contiguous());
        var count = values.NumberOfElements;
        Invariant.Holds(count == gates.NumberOfElements && count % ElementsAThread == 0);
        var (from, into) = (Address(gates), Address(values));
        var pointers = stackalloc void*[] { &from, &into, &count };
        const int Each = Threads * ElementsAThread;
        Launch("gateChunk", (int)((count + Each - 1) / Each), 1, 0, pointers);
    }

    /// <summary>Norms and turns queries and keys by their positions, in place; keys and values also go to their
    /// pages.</summary>
    /// <param name="rows">[tokens, (query heads + 2 kv heads) x head size], contiguous.</param>
    public void Place(Tensor rows, AttentionOptions options, Tensor pages)
    {
        Invariant.Holds(rows.is_contiguous());
        var (heads, batch) = (_stage.Heads, _stage.Batch);
        var (queryNorm, keyNorm) = ((RmsNorm?)options.QueryNorm, (RmsNorm?)options.KeyNorm);
        var arguments = new PlaceArguments
        {
            Rows = Address(rows),
            Pages = Address(pages),
            Positions = Address(batch.Positions),
            SlotPages = Address(batch.SlotPages),
            QueryNorm = queryNorm is null ? 0 : Address(queryNorm.Weight),
            KeyNorm = keyNorm is null ? 0 : Address(keyNorm.Weight),
            Cosines = options.Rotary is null ? 0 : Address(options.Rotary.Cosines),
            Sines = options.Rotary is null ? 0 : Address(options.Rotary.Sines),
            Epsilon = (float)(queryNorm?.Epsilon ?? 0),
            Turned = options.Rotary?.Width ?? 0,
            QueryHeads = heads.QueryHeads,
            KvHeads = heads.KvHeads,
        };
        var pointers = stackalloc void*[] { &arguments };
        var blocks = (heads.QueryHeads + (2 * heads.KvHeads) + Warps - 1) / Warps;
        Launch("placeChunk", (int)rows.shape[0], blocks, Warps * heads.HeadSize * sizeof(float), pointers);
    }

    /// <summary>Attention of a group over its pages, which hold its own keys and values, too.</summary>
    /// <param name="rows">The step's [tokens, (query heads + 2 kv heads) x head size], placed.</param>
    /// <param name="firstSingle">Index of the group's first row among all single tokens of the step.</param>
    /// <param name="joined">[tokens, query width]; the group's rows are written.</param>
    public void Attend(
        Tensor rows, Tensor pages, AttentionGroup group, int firstSingle, int window, Tensor joined)
    {
        if (group.IsDecode) AttendTokens(rows, pages, group, firstSingle, window, joined);
        else AttendPrompt(rows, pages, group, window, joined);
    }

    private void AttendPrompt(Tensor rows, Tensor pages, AttentionGroup group, int window, Tensor joined)
    {
        var heads = _stage.Heads;
        var width = heads.QueryWidth + (2 * heads.KvWidth);
        using var table = _stage.Batch.PageTable(group);
        var arguments = new PromptArguments
        {
            Rows = Address(rows) + (nint)((long)group.FirstRow * width * rows.ElementSize),
            Pages = Address(pages),
            Table = Address(table),
            Output = Address(joined) + (nint)((long)group.FirstRow * heads.QueryWidth * joined.ElementSize),
            Scale = 1 / MathF.Sqrt(heads.HeadSize),
            RowStride = width,
            OutputStride = heads.QueryWidth,
            Count = group.Rows,
            Start = group.Length - group.Rows,
            Window = window,
            KvHeads = heads.KvHeads,
            Group = heads.QueryHeads / heads.KvHeads,
        };
        // As prompts.cuh has it: the rows and two stages of 64 keys and values, each row padded.
        const int RowsABlock = 128, KeysHeld = 4 * 64;
        var pitch = ((heads.HeadSize + 15) / 16 * 16 * sizeof(ushort)) + 16;
        var pointers = stackalloc void*[] { &arguments };
        Launch(
            "attendChunk", (group.Rows + RowsABlock - 1) / RowsABlock, heads.QueryHeads,
            (RowsABlock + KeysHeld) * pitch, pointers);
    }

    private void AttendTokens(
        Tensor rows, Tensor pages, AttentionGroup group, int firstSingle, int window, Tensor joined)
    {
        var (heads, splits) = (_stage.Heads, _slots.Splits);
        // Where splits meet in memory there is room for as many columns as a decode pass has.
        var most = splits > AttentionLaunch.ClusterSplitsMax ? _buffers.Columns : group.Rows;
        var width = heads.QueryWidth + (2 * heads.KvWidth);
        AttentionArguments arguments;
        var pointers = stackalloc void*[] { &arguments };
        for (var first = 0; first < group.Rows; first += most)
        {
            var (row, single) = (group.FirstRow + first, firstSingle + first);
            var launch = new AttentionLaunch(
                heads, new PassSize(Math.Min(most, group.Rows - first), splits), _multiprocessors);
            arguments = new AttentionArguments
            {
                Queries = Address(rows) + (nint)((long)row * width * rows.ElementSize),
                Pages = Address(pages),
                Table = _slots.Table(single),
                Positions = _slots.Positions(single),
                TableFirst = _slots.TableFirst,
                Stable = _slots.Positions(single),
                Output = Address(joined) + (nint)((long)row * heads.QueryWidth * joined.ElementSize),
                Partial = launch.MeetsInMemory ? _buffers.Partial(splits) : 0,
                Arrived = _buffers.Arrived,
                Scale = 1 / MathF.Sqrt(heads.HeadSize),
                Window = window,
                TableStride = _slots.TableStride,
                KvHeads = heads.KvHeads,
                SplitsMax = splits,
                QueryStride = width,
                SplitsEach = launch.SplitsEach,
            };
            _module.Launch(_stream, launch.Kernel, launch.Shape(startsEarly: false), pointers);
        }
    }

    /// <summary>Draws a token from each row of logits and waits for them.</summary>
    /// <param name="logits">float32 [drawn tokens of the step, vocabulary], contiguous.</param>
    /// <returns>Tokens, valid until the next call; below 0 where the host must draw.</returns>
    public ReadOnlySpan<int> Draw(Tensor logits)
    {
        Invariant.Holds(logits.is_contiguous() && logits.dtype == ScalarType.Float32);
        var (rows, width) = ((int)logits.shape[0], (int)logits.shape[1]);
        var arguments = new DrawArguments
        {
            Logits = Address(logits),
            Sampling = _slots.Sampling,
            Positions = _slots.DrawPositions,
            Drawn = _slots.Drawn,
            Width = width,
            Stride = width,
        };
        var pointers = stackalloc void*[] { &arguments };
        _module.Launch(
            _stream, "drawTokens", new LaunchShape(rows, 1, 1, DrawThreads, 0, 1, StartsEarly: false), pointers);
        var drawn = (int*)TensorMemory.Pointer(_drawn);
        _stream.CopyToHost(drawn, _slots.Drawn, rows * sizeof(int));
        _stream.Synchronize();
        return new ReadOnlySpan<int>(drawn, rows);
    }

    public void Dispose()
    {
        _slots.Dispose();
        _drawn.Dispose();
    }

    private void Launch(string name, int gridX, int gridY, int sharedBytes, void** arguments) => _module.Launch(
        _stream, name, new LaunchShape(gridX, gridY, 1, Threads, sharedBytes, 1, StartsEarly: false), arguments);

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);

    // As chunks.cuh has them.
    [StructLayout(LayoutKind.Sequential)]
    private struct NormArguments
    {
        public nint Values;
        public nint Weight;
        public nint Output;
        public float Epsilon;
        public int Width;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PlaceArguments
    {
        public nint Rows;
        public nint Pages;
        public nint Positions;
        public nint SlotPages;
        public nint QueryNorm;
        public nint KeyNorm;
        public nint Cosines;
        public nint Sines;
        public float Epsilon;
        public int Turned;
        public int QueryHeads;
        public int KvHeads;
    }
}
