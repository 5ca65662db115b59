using System.Runtime.InteropServices;
using SpotServe.Actors;
using SpotServe.Node.Engine.Blocks;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>What stands between the products of a prompt's chunk, one kernel each. They run on the stream that
/// libtorch's operations of the step run on.</summary>
internal sealed unsafe class ChunkKernels(StageContext stage, CudaModule module, CudaStream stream)
{
    private const int Threads = 256;
    private const int Warps = Threads / 32;
    private const int ElementsAThread = 8;

    /// <summary>RMS norm of rows, in the weight type.</summary>
    /// <param name="values">[rows, width], float32, contiguous; its width is a multiple of 4.</param>
    public Tensor Norm(Tensor values, Tensor weight, double epsilon)
    {
        Invariant.Holds(values.is_contiguous() && values.shape[1] % 4 == 0);
        var result = empty(values.shape, stage.WeightType, stage.Device);
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

    /// <summary>Norms and turns queries and keys by their positions; queries stay where they are, keys and values go to
    /// their pages.</summary>
    /// <param name="rows">[tokens, (query heads + 2 kv heads) x head size], contiguous.</param>
    public void Place(Tensor rows, AttentionOptions options, Tensor pages)
    {
        Invariant.Holds(rows.is_contiguous());
        var (heads, batch) = (stage.Heads, stage.Batch);
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

    private void Launch(string name, int gridX, int gridY, int sharedBytes, void** arguments) => module.Launch(
        stream, name, new LaunchShape(gridX, gridY, 1, Threads, sharedBytes, 1, StartsEarly: false), arguments);

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
