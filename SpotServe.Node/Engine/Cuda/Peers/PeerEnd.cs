using SpotServe.Actors;
using SpotServe.Actors.Execution;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// What one rank's GPU has for the other ranks of its stage: memory that they write into, and words of host memory that
/// end its kernels' waits. The memory is free when no rank uses it any more: others may still write when this rank's
/// engine ends.
/// </summary>
internal sealed unsafe class PeerEnd : IRankDevice, IDisposable
{
    /// <summary>Blocks of a sum over the ranks of a prompt's chunk: the same on all GPUs, which meet block by
    /// block.</summary>
    public const int SumBlocks = 128;

    /// <summary>Pieces that a row of logits travels in, each with a flag.</summary>
    public const int RowParts = 8;

    public const int RanksMax = 8;

    private const int Abandoned = 0;
    private const int Closed = 1;
    private const int GivenUp = 2;
    private const int Words = 4;
    private const int LookedInts = 4;

    private readonly Tensor[] _owned;
    private readonly Tensor? _words;
    private int _holders;

    private PeerEnd(int? gpu, Tensor? words, params Tensor[] owned)
    {
        Gpu = gpu;
        _words = words;
        _owned = owned;
    }

    /// <summary>A rank whose GPU cannot sum by itself.</summary>
    public static PeerEnd None { get; } = new(null, null);

    /// <summary>The GPU; null where it takes no part.</summary>
    public int? Gpu { get; }

    /// <summary>[slots, ranks, <see cref="PartBytes"/>]: what the ranks push in decode passes.</summary>
    public nint Received { get; private init; }

    /// <summary>Bytes of one rank's part of one sum.</summary>
    public long PartBytes { get; private init; }

    /// <summary>[step tokens, hidden], float32: what is summed of prompts.</summary>
    public nint Exchange { get; private init; }

    /// <summary>[2, <see cref="SumBlocks"/>, <see cref="RanksMax"/>] of prompts' sums.</summary>
    public nint SumFlags { get; private init; }

    /// <summary>[columns, vocabulary] on rank 0 of the last stage; else 0.</summary>
    public nint Logits { get; private init; }

    /// <summary>[columns, <see cref="RowParts"/>, <see cref="RanksMax"/>].</summary>
    public nint RowFlags { get; private init; }

    /// <summary>When a kernel's thread last looked at the words, and what it saw: 16 bytes.</summary>
    public nint Looked { get; private init; }

    /// <summary>The words, for the kernels.</summary>
    public nint WordsAddress => (nint)Data;

    /// <summary>A kernel of this rank gave a sum up since <see cref="Begin"/>.</summary>
    public bool HasGivenUp => Volatile.Read(ref Data[GivenUp]) != 0;

    private int* Data => (int*)TensorMemory.Pointer(_words!);

    /// <summary>Makes the memory, filled with zeros on the default stream.</summary>
    public static PeerEnd Make(StageContext stage) => Make(
        stage.Device, stage.RankCount, stage.Model.HiddenSize, stage.Assignment.StepTokensMax,
        stage.Assignment.IsLast && stage.Rank == 0 ? stage.Model.VocabularySize : 0);

    /// <param name="stepTokens">Rows of a prompts' sum at most.</param>
    /// <param name="vocabulary">Where this rank brings the logits together; else 0.</param>
    public static PeerEnd Make(Device device, int ranks, int hidden, int stepTokens, int vocabulary)
    {
        Invariant.Holds(ranks is > 1 and <= RanksMax);
        long tokens = DecodeBuffers.TokensMax;
        var partBytes = tokens * hidden * 2 * sizeof(float);
        var received = Zeros(PeerPass.Slots * ranks * partBytes / sizeof(int));
        var exchange = Zeros((long)stepTokens * hidden);
        var (sumFlags, rowFlags) = (2 * SumBlocks * RanksMax, tokens * RowParts * RanksMax);
        var flags = Zeros(sumFlags + rowFlags + LookedInts);
        var logits = Zeros(Math.Max(1, tokens * vocabulary));
        var words = zeros([Words], ScalarType.Int32).pin_memory().DetachFromDisposeScope();
        return new PeerEnd(device.index, words, received, exchange, flags, logits)
        {
            Received = Address(received),
            PartBytes = partBytes,
            Exchange = Address(exchange),
            SumFlags = Address(flags),
            RowFlags = Address(flags) + (sumFlags * sizeof(int)),
            Looked = Address(flags) + ((nint)(sumFlags + rowFlags) * sizeof(int)),
            Logits = vocabulary > 0 ? Address(logits) : 0,
            _holders = ranks,
        };

        Tensor Zeros(long count) =>
            zeros([count], ScalarType.Int32, device).DetachFromDisposeScope();
    }

    /// <summary>A step begins; the stream is idle.</summary>
    public void Begin() => Volatile.Write(ref Data[GivenUp], 0);

    void IRankDevice.Abandoned(long step)
    {
        if (_words is not null) Volatile.Write(ref Data[Abandoned], unchecked((int)step));
    }

    void IRankDevice.Ended()
    {
        if (_words is not null) Volatile.Write(ref Data[Closed], 1);
    }

    /// <summary>One rank uses it no more: it waited for all that it had started.</summary>
    public void Release()
    {
        if (_words is null) return;
        var left = Interlocked.Decrement(ref _holders);
        Invariant.Holds(left >= 0);
        if (left == 0) Dispose();
    }

    /// <summary>Frees the memory: nobody has got to know it, or nobody uses it.</summary>
    public void Dispose()
    {
        foreach (var tensor in _owned) tensor.Dispose();
        // The words stay: a collective that ends later still writes them. They are collected with this object.
    }

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);
}
