using System.Numerics;
using SpotServe.Actors;
using SpotServe.Actors.Execution;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// What the kernels need to know of a step that libtorch's products run: positions and page tables of its single
/// tokens, and how each drawn token is to be drawn. Written in pinned memory and copied to the device as one block.
/// </summary>
internal sealed unsafe class ChunkSlots : IDisposable
{
    private readonly Tensor _host;
    private readonly Tensor _device;
    private readonly int* _data;
    private readonly int _rowsMax;
    private readonly int _tableAt;

    /// <param name="rowsMax">Single tokens, and also drawn tokens, of a step at most.</param>
    /// <param name="contextMax">Tokens of the longest sequence.</param>
    public ChunkSlots(int rowsMax, int contextMax, Device device)
    {
        _rowsMax = rowsMax;
        _tableAt = rowsMax * (4 + KernelSampling.Ints);
        var capacity = _tableAt + ((long)rowsMax * SplitsFor(contextMax - 1) * DecodeLaunches.PagesASplit);
        _host = zeros([capacity], ScalarType.Int32).pin_memory().DetachFromDisposeScope();
        _device = zeros([capacity], ScalarType.Int32, device).DetachFromDisposeScope();
        _data = (int*)TensorMemory.Pointer(_host);
    }

    /// <summary>Runs of 256 positions that a single token of the step may see.</summary>
    public int Splits { get; private set; }

    /// <summary>Pages of a single token's table.</summary>
    public int TableStride => Splits * DecodeLaunches.PagesASplit;

    /// <summary>Zeros: every table begins with its sequence's first page.</summary>
    public nint TableFirst => Address(_rowsMax);

    /// <summary>One <see cref="KernelSampling"/> for each drawn token.</summary>
    public nint Sampling => Address(3 * _rowsMax);

    /// <summary>Of the token before each drawn one.</summary>
    public nint DrawPositions => Address(2 * _rowsMax);

    /// <summary>Receives the drawn tokens.</summary>
    public nint Drawn => Address((3 + KernelSampling.Ints) * _rowsMax);

    /// <summary>Positions of the single tokens, in order; also up to where earlier steps wrote their caches.</summary>
    public nint Positions(int first) => Address(first);

    public nint Table(int first) => Address(_tableAt + (first * TableStride));

    /// <summary>Fills the slots from a plan and copies them.</summary>
    public void Upload(StepPlan plan, CudaStream stream)
    {
        var last = 0;
        foreach (ref readonly var chunk in plan.Chunks)
        {
            if (chunk.Count == 1) last = Math.Max(last, chunk.Start);
        }

        Splits = SplitsFor(last);
        var (single, sample) = (0, 0);
        foreach (ref readonly var chunk in plan.Chunks)
        {
            if (chunk.Count == 1)
            {
                _data[single] = chunk.Start;
                plan.Pages.Slice(chunk.PageOffset, chunk.PageCount)
                    .CopyTo(new Span<int>(_data + _tableAt + (single * TableStride), TableStride));
                single++;
            }

            if (chunk.Samples == 0) continue;
            _data[(2 * _rowsMax) + sample] = chunk.Start + chunk.Count - 1;
            ((KernelSampling*)(_data + (3 * _rowsMax)))[sample] = KernelSampling.Of(chunk.Sampling);
            sample++;
        }

        Invariant.Holds(single <= _rowsMax && sample <= _rowsMax);
        stream.CopyToDevice(Address(0), _data, (_tableAt + (single * (long)TableStride)) * sizeof(int));
    }

    public void Dispose()
    {
        _host.Dispose();
        _device.Dispose();
    }

    private static int SplitsFor(int position)
    {
        var splits = (position / DecodeLaunches.SplitTokens) + 1;
        return splits <= AttentionLaunch.ClusterSplitsMax ? splits : (int)BitOperations.RoundUpToPowerOf2((uint)splits);
    }

    private nint Address(int offset) => (nint)TensorMemory.Pointer(_device) + ((nint)offset * sizeof(int));
}
