using SpotServe.Actors;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Engine.Cpu;
using SpotServe.Node.Engine.Cuda;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>What the blocks of a stage share: the device, the rank's part of the model, and the running step.</summary>
internal sealed class StageContext : IDisposable
{
    private readonly Tensor? _pinned;
    private readonly CpuWorkers? _workers;
    private readonly EnginePages _pages;

    /// <param name="pages">The stage's from now on.</param>
    /// <param name="usePlainOperations">Only libtorch's operations, for comparison with the kernels.</param>
    public StageContext(
        ModelSpec model, StageAssignment assignment, Device device, EnginePages pages, bool usePlainOperations)
    {
        _pages = pages;
        Model = model;
        Assignment = assignment;
        Device = device;
        Heads = HeadPart.Of(model, assignment.Position.Rank, assignment.RankCount);
        WeightType = model.WeightType.ToTorch();
        Batch = new StepBatch(assignment, model, device);
        if (OnCpu && !usePlainOperations)
        {
            _workers = new CpuWorkers(get_num_threads());
            Cpu = CpuKernels.For(this, _workers);
            Products = CpuProducts.For(WeightType, _workers);
        }

        if (!OnCpu && assignment.RankCount > 1)
            _pinned = Detached(empty([assignment.StepTokensMax, model.HiddenSize], ScalarType.Float32).pin_memory());
    }

    public ModelSpec Model { get; }

    public StageAssignment Assignment { get; }

    public Device Device { get; }

    public HeadPart Heads { get; }

    /// <summary>Type of matrices and of what they are multiplied with. The residual stream is float32
    /// throughout.</summary>
    public ScalarType WeightType { get; }

    public StepBatch Batch { get; }

    /// <summary>Fused operations; null where libtorch's are used.</summary>
    public CpuKernels? Cpu { get; }

    /// <summary>Products of few rows on the CPU; null where libtorch's are used.</summary>
    public CpuProducts? Products { get; }

    /// <summary>Fused operations for a prompt's chunk on a GPU; null where libtorch's are used.</summary>
    public ChunkKernels? Chunks { get; set; }

    /// <summary>Products of a prompt's chunk that give the same bits on every number of ranks; null where libtorch's
    /// are used.</summary>
    public ChunkProducts? PromptProducts { get; set; }

    public int Rank => Assignment.Position.Rank;

    public int RankCount => Assignment.RankCount;

    public bool OnCpu => Device.type == DeviceType.CPU;

    /// <summary>The ranks of this stage; set for the time of a step.</summary>
    public ICollective? Collective { get; set; }

    /// <summary>The other ranks' GPUs, once the ranks have met and where these sum by themselves; the
    /// stage's.</summary>
    public PeerLinks? Peers { get; set; }

    /// <summary>A layer's cache: [pages, 2 (keys, values), kv heads, 16 tokens, head size]. It belongs to the
    /// stage.</summary>
    public Tensor Pages(int layer) => ((TorchBytes)_pages.Pool(layer)).Tensor;

    /// <summary>A column-parallel product.</summary>
    public Tensor Multiply(ColumnLinear linear, Tensor values) => PromptProducts is null
        ? linear.Apply(values) : PromptProducts.Columns(values, linear.Weight, linear.Bias);

    /// <summary>The same in float32, without a bias.</summary>
    public Tensor MultiplyWide(ColumnLinear linear, Tensor values)
    {
        if (PromptProducts is null) return linear.ApplyWide(values);
        Invariant.Holds(linear.Bias is null);
        return PromptProducts.Logits(values, linear.Weight);
    }

    /// <summary>Sums a contiguous float32 tensor of [tokens, up to hidden] over the ranks, in place.</summary>
    public void AllReduce(Tensor values)
    {
        if (RankCount == 1) return;
        Invariant.Holds(Collective is not null);
        if (OnCpu)
        {
            Collective.AllReduceSum(TensorMemory.Floats(values));
            return;
        }

        if (Peers is not null)
        {
            Peers.Sum(values);
            return;
        }

        using var host = _pinned!.view(-1).narrow(0, 0, values.NumberOfElements).view(values.shape);
        host.copy_(values);
        Collective.AllReduceSum(TensorMemory.Floats(host));
        values.copy_(host);
    }

    public void Dispose()
    {
        Peers?.Dispose();
        _pinned?.Dispose();
        Products?.Dispose();
        _workers?.Dispose();
        Batch.Dispose();
        _pages.Dispose();
    }

    private static Tensor Detached(Tensor tensor) => tensor.DetachFromDisposeScope();
}
