using SpotServe.Actors.DataPlane;
using SpotServe.Node.Engine.Cuda;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Bench;

/// <summary>One GPU of a measured sum: it looks rows up in a table of its own, pushes them to all GPUs and adds up what
/// it gets, with the kernels that a decode pass begins with.</summary>
internal sealed unsafe class SumRank : IDisposable
{
    public const int Rows = 64;
    public const int SumsAGraph = 64;

    /// <summary>Most floats of a prompts' sum.</summary>
    public const int ValuesMax = 1 << 22;

    private const int Threads = 512;
    private const int InputInts = 4 + DecodeBuffers.TokensMax;

    private readonly Device _device;
    private readonly int _hidden;
    private readonly CudaModule _module;
    private readonly Tensor _residual;
    private readonly Tensor _inputs;
    private readonly Tensor _staged;
    private PeerLinks? _peers;

    /// <param name="hidden">Values of a row.</param>
    public SumRank(Device device, int rank, int ranks, int hidden)
    {
        _device = device;
        _hidden = hidden;
        Stream = StreamPool.Take(device.index);
        _module = new CudaModule(KernelCache.Load(
            device.index, [new KernelPart("ROWS", "HEAD_SIZE=128", "GROUP=1")]));
        Table = Filled([Rows, hidden], rank).to(ScalarType.BFloat16).to(device).DetachFromDisposeScope();
        Values = Filled([ValuesMax], 100 + rank).to(device).DetachFromDisposeScope();
        _residual = zeros([DecodeBuffers.TokensMax, hidden], ScalarType.Float32, device).DetachFromDisposeScope();
        _inputs = zeros([InputInts], ScalarType.Int32, device).DetachFromDisposeScope();
        _staged = zeros([1 << 10, InputInts], ScalarType.Int32).pin_memory().DetachFromDisposeScope();
        End = PeerEnd.Make(device, ranks, hidden, (ValuesMax + hidden - 1) / hidden, vocabulary: 0);
        CudaDriver.SynchronizeDefaultStream(device.index);
    }

    public CudaStream Stream { get; }

    public PeerEnd End { get; }

    public Tensor Table { get; }

    public Tensor Values { get; }

    public PeerLinks Peers => _peers!;

    public void UseContext() => CudaDriver.UseContext(_device.index);

    /// <summary>Meets the others; each on a thread of its own.</summary>
    public void Meet(SharedMemoryCollective collective)
    {
        UseContext();
        _peers = PeerLinks.Join(collective, End, Stream, _module, out var how)
            ?? throw new ArgumentException($"The GPUs do not sum by themselves but {how}.");
    }

    /// <summary>Records <see cref="SumsAGraph"/> sums of so many rows.</summary>
    public CudaGraph Record(int tokens) => Stream.Capture(() =>
    {
        for (var sum = 0; sum < SumsAGraph; sum++) Enqueue(tokens, sum);
    });

    /// <summary>Starts a recording with other rows than before.</summary>
    /// <param name="turn">Since the last wait; which rows depends on it.</param>
    public void Launch(CudaGraph graph, int turn, long step)
    {
        var inputs = (int*)TensorMemory.Pointer(_staged) + (turn * InputInts);
        inputs[0] = unchecked((int)PeerPass.FirstNumber(step, 0, 1, SumsAGraph + 1));
        inputs[1] = unchecked((int)step);
        for (var i = 0; i < DecodeBuffers.TokensMax; i++) inputs[4 + i] = Row(i, step);
        Stream.CopyToDevice((nint)TensorMemory.Pointer(_inputs), inputs, InputInts * sizeof(int));
        graph.Launch();
    }

    /// <summary>Which row of the table a token looks up.</summary>
    public static int Row(int token, long step) => (int)((token + (step * 7)) % Rows);

    /// <summary>The last sum, [tokens, hidden]; the stream was waited for.</summary>
    public Tensor Result(int tokens) => _residual.narrow(0, 0, tokens).cpu();

    public void Dispose()
    {
        UseContext();
        if (_peers is null) End.Dispose();
        else _peers.Dispose();
        foreach (var tensor in new[] { _residual, _inputs, _staged, Table, Values }) tensor.Dispose();
        _module.Dispose();
        StreamPool.Give(_device.index, Stream);
    }

    private void Enqueue(int tokens, int sum)
    {
        var sequence = (nint)TensorMemory.Pointer(_inputs);
        var push = Peers.Push(sum, SumsAGraph, sequence);
        var look = new RowArguments
        {
            Embedding = (nint)TensorMemory.Pointer(Table),
            Ids = sequence + (4 * sizeof(int)),
            Width = _hidden,
            IdCount = Rows,
            Push = push,
        };
        var receive = new RowArguments
        {
            Residual = (nint)TensorMemory.Pointer(_residual),
            Width = _hidden,
            Push = push,
            From = Peers.From(sum, SumsAGraph),
            Stride = Peers.Stride,
            Patience = Peers.Waits,
        };
        var shape = new LaunchShape(tokens, (_hidden + 1_023) / 1_024, 1, Threads, 0, 1, StartsEarly: sum > 0);
        var first = stackalloc void*[] { &look };
        _module.Launch(Stream, "enter", shape, first);
        var second = stackalloc void*[] { &receive };
        _module.Launch(Stream, "enter", shape with { StartsEarly = true }, second);
    }

    private static Tensor Filled(long[] sizes, int seed)
    {
        var generator = new Generator((ulong)seed);
        return randn(sizes, ScalarType.Float32, generator: generator);
    }
}
