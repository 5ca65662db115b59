using SpotServe.Actors;
using SpotServe.Actors.Execution;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// A rank's way to the GPUs of the other ranks of its stage: sums over the ranks without the host. Used by the engine's
/// thread.
/// </summary>
internal sealed unsafe class PeerLinks : IDisposable
{
    /// <summary>A rank that does not come to a sum for so long does not come at all. Ranks get a step at the same time
    /// and wait for each other's recording and memory at most.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private const int SumThreads = 512;

    private readonly PeerEnd[] _ends;
    private readonly int _rank;
    private readonly CudaStream _stream;
    private readonly CudaModule _module;
    private long _step;
    private int _chunkSums;

    private PeerLinks(PeerEnd[] ends, int rank, CudaStream stream, CudaModule module)
    {
        _ends = ends;
        _rank = rank;
        _stream = stream;
        _module = module;
    }

    public int RankCount => _ends.Length;

    public int Rank => _rank;

    /// <summary>Rank 0's memory for all ranks' logits.</summary>
    public nint Logits => _ends[0].Logits;

    /// <summary>Flags of rows of logits, in rank 0's memory.</summary>
    public nint RowFlags => _ends[0].RowFlags;

    public PatienceArguments Waits => new()
    {
        Words = Mine.WordsAddress,
        Looked = Mine.Looked,
        Nanoseconds = (ulong)Patience.TotalNanoseconds,
    };

    private PeerEnd Mine => _ends[_rank];

    /// <summary>Meets the other ranks of the stage.</summary>
    /// <param name="mine">Used up: freed, or shared with the others until all of them are disposed of.</param>
    /// <param name="how">Says how the ranks sum.</param>
    /// <returns>Null where the host has to sum.</returns>
    /// <exception cref="StepFailedException">A rank abandoned the step; <paramref name="mine"/> may be used
    /// again.</exception>
    public static PeerLinks? Join(
        ICollective collective, PeerEnd mine, CudaStream? stream, CudaModule? module, out string how)
    {
        var shown = collective.Introduce(mine);
        if (shown is null)
        {
            mine.Dispose();
            how = "over the data plane: they are in several processes";
            return null;
        }

        var ends = shown.Cast<PeerEnd>().ToArray();
        var gpus = ends.Select(end => end.Gpu).OfType<int>().ToArray();
        if (gpus.Length == ends.Length && PeerAccess.Joins(gpus))
        {
            how = $"in the memory of cuda:{string.Join(", ", gpus)}";
            return new PeerLinks(ends, collective.Rank, stream!, module!);
        }

        foreach (var end in ends) end.Release();
        how = gpus.Distinct().Count() < ends.Length
            ? "over host memory: not every rank has kernels on a GPU of its own"
            : "over host memory: their GPUs do not reach each other's";
        return null;
    }

    /// <summary>A step begins, and this rank's stream is idle.</summary>
    public void BeginStep(long step)
    {
        // Numbers of an earlier step would be taken for this one's.
        Invariant.Holds(step > _step);
        _step = step;
        _chunkSums = 0;
        Mine.Begin();
    }

    /// <summary>Throws if a sum of this step was given up; the stream was waited for.</summary>
    /// <exception cref="StepFailedException">A rank abandoned the step.</exception>
    /// <exception cref="PeerLostException">A rank went away or did not come.</exception>
    public void ThrowIfGivenUp(ICollective collective)
    {
        if (!Mine.HasGivenUp) return;
        collective.ThrowIfOver();
        throw new PeerLostException(
            "a rank of this stage", $"its GPU did not come to a sum within {Patience.TotalSeconds:0} s");
    }

    /// <summary>Where this rank's part of a decode pass's sum goes.</summary>
    /// <param name="sums">Of a pass.</param>
    public PushArguments Push(int index, int sums, nint sequence)
    {
        var arguments = new PushArguments { Sequence = sequence, Index = index, Ranks = RankCount, Rank = _rank };
        for (var rank = 0; rank < RankCount; rank++)
            arguments.To[rank] = _ends[rank].Received + (nint)(Part(index, sums, _rank) * Mine.PartBytes);
        return arguments;
    }

    /// <summary>Where the first rank's part of it arrives here; the others' lie behind it.</summary>
    public nint From(int index, int sums) => Mine.Received + (nint)(Part(index, sums, rank: 0) * Mine.PartBytes);

    /// <summary>Bytes between two ranks' parts.</summary>
    public long Stride => Mine.PartBytes;

    /// <summary>Where a product may leave this rank's part of the next sum of a prompt's chunk, float32 [step tokens,
    /// hidden].</summary>
    public nint Exchange => Mine.Exchange;

    /// <summary>Sums a contiguous float32 tensor over the ranks, in place, on the engine's stream.</summary>
    public void Sum(Tensor values) => Sum(values, TensorMemory.Pointer(values), adds: false);

    /// <summary>Adds to a contiguous float32 tensor, [rows, hidden], the sum over the ranks of what each left at
    /// <see cref="Exchange"/>.</summary>
    public void AddSum(Tensor rows) => Sum(rows, null, adds: true);

    private void Sum(Tensor into, void* values, bool adds)
    {
        var count = into.NumberOfElements;
        Invariant.Holds(into.is_contiguous() && count % 4 == 0);
        var number = PeerPass.ChunkNumber(_step, _chunkSums++);
        var arguments = new SumArguments
        {
            Values = (nint)values,
            Into = (nint)TensorMemory.Pointer(into),
            Patience = Waits,
            Count = count / 4,
            Number = number,
            Step = unchecked((uint)_step),
            Rank = _rank,
            Ranks = RankCount,
            Adds = adds ? 1 : 0,
        };
        for (var rank = 0; rank < RankCount; rank++)
        {
            arguments.Exchange[rank] = _ends[rank].Exchange;
            arguments.Flags[rank] = _ends[rank].SumFlags;
        }

        var pointers = stackalloc void*[] { &arguments };
        var shape = new LaunchShape(PeerEnd.SumBlocks, 1, 1, SumThreads, 0, 1, StartsEarly: false);
        _module.Launch(_stream, "sumRanks", shape, pointers);
    }

    /// <summary>Call when nothing of this rank is under way.</summary>
    public void Dispose()
    {
        foreach (var end in _ends) end.Release();
    }

    private long Part(int index, int sums, int rank) => ((long)PeerPass.Slot(index, sums) * RankCount) + rank;
}
