using SpotServe.Actors;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Cuda;

/// <summary>
/// The products of prompts' chunks by kernels of our own (products.cuh): a row has the same bits whatever other rows
/// there are and on every number of ranks, so chunks of several prompts may share a product. What is summed over the
/// ranks is cut into <see cref="Leaves"/> parts of equal width, each summed by itself, and added in float32 as
/// (l0 + l1) + (l2 + l3): a rank of M adds its own leaves, and the ranks the rest of the same tree.
/// </summary>
internal sealed unsafe class ChunkProducts
{
    /// <summary>Parts of a sum over the ranks; the most ranks whose bits are equal.</summary>
    public const int Leaves = 4;

    /// <summary>The one kind of GPU that has the kernels' instructions.</summary>
    public const int Capability = 90;

    private const int Threads = 384;
    private const int RingBytes = 196_608;

    private readonly StageContext _stage;
    private readonly CudaModule _module;
    private readonly CudaStream _stream;
    private readonly int _multiprocessors;
    private readonly TensorMaps _maps;

    /// <param name="module">Has the parts of <see cref="KernelPart.OfPrompts"/>.</param>
    public ChunkProducts(StageContext stage, CudaModule module, CudaStream stream)
    {
        Invariant.Holds(IsFor(stage.RankCount));
        _stage = stage;
        _module = module;
        _stream = stream;
        _multiprocessors = CudaDriver.MultiprocessorCount(stage.Device.index);
        _maps = new TensorMaps(stage.WeightType == ScalarType.Float16);
    }

    /// <summary>Whether so many ranks each have whole leaves.</summary>
    public static bool IsFor(int ranks) => Leaves % ranks == 0;

    /// <summary>A column-parallel product.</summary>
    /// <param name="values">[rows, input], contiguous.</param>
    /// <param name="weight">[this rank's outputs, input].</param>
    /// <param name="bias">[this rank's outputs]; null for none.</param>
    /// <returns>[rows, this rank's outputs], in the weight type.</returns>
    public Tensor Columns(Tensor values, Tensor weight, Tensor? bias)
    {
        var result = empty([values.shape[0], weight.shape[0]], _stage.WeightType, _stage.Device);
        var arguments = Arguments(values, weight, leaves: 1, Address(result));
        arguments.Bias = bias is null ? 0 : Address(bias);
        Launch("columns", ProductTiles.Choose(arguments.Rows, arguments.Outputs, _multiprocessors), &arguments);
        return result;
    }

    /// <summary>silu(gate's product) * up's, in the weight type.</summary>
    public Tensor Gated(Tensor values, Tensor gate, Tensor up)
    {
        Invariant.Holds(up.is_contiguous() && gate.shape[0] == up.shape[0] && gate.shape[1] == up.shape[1]);
        var result = empty([values.shape[0], gate.shape[0]], _stage.WeightType, _stage.Device);
        var arguments = Arguments(values, gate, leaves: 1, Address(result));
        arguments.Second = _maps.OfWeight(Address(up), arguments.Outputs, arguments.LeafWidth, leaves: 1);
        var tiles = arguments.Rows <= ProductTiles.RowsOfFew
            ? new ProductTiles("Few", 64, Cluster: 1) : new ProductTiles("256", 128, Cluster: 2);
        Launch("swiglu", tiles, &arguments);
        return result;
    }

    /// <summary>Products with the vocabulary, in float32.</summary>
    public Tensor Logits(Tensor values, Tensor weight)
    {
        var result = empty([values.shape[0], weight.shape[0]], ScalarType.Float32, _stage.Device);
        var arguments = Arguments(values, weight, leaves: 1, Address(result));
        Launch("logits", new ProductTiles("Few", 64, Cluster: 1), &arguments);
        return result;
    }

    /// <summary>A row-parallel product of one rank, added to float32 rows, [rows, outputs].</summary>
    public void AddRows(Tensor values, Tensor weight, Tensor rows)
    {
        Invariant.Holds(_stage.RankCount == 1 && rows.is_contiguous());
        Leaf(values, weight, Address(rows));
    }

    /// <summary>This rank's part of a row-parallel product, to be added over the ranks.</summary>
    /// <returns>[rows, outputs], float32.</returns>
    public Tensor PartialRows(Tensor values, Tensor weight)
    {
        Invariant.Holds(_stage.RankCount > 1);
        var result = empty([values.shape[0], weight.shape[0]], ScalarType.Float32, _stage.Device);
        Leaf(values, weight, Address(result));
        return result;
    }

    /// <summary>The same where the GPUs sum by themselves, added over the ranks and to float32 rows, [rows,
    /// outputs].</summary>
    public void AddRows(Tensor values, Tensor weight, Tensor rows, PeerLinks peers)
    {
        Leaf(values, weight, peers.Exchange);
        peers.AddSum(rows);
    }

    private void Leaf(Tensor values, Tensor weight, nint into)
    {
        var arguments = Arguments(values, weight, Leaves / _stage.RankCount, into);
        var tiles = arguments.Rows <= 2 * ProductTiles.RowsOfFew
            ? new ProductTiles("Few", 64, Cluster: 1) : new ProductTiles("128", 128, Cluster: 2);
        Launch("leaves", tiles, &arguments);
    }

    private ProductArguments Arguments(Tensor values, Tensor weight, int leaves, nint output)
    {
        Invariant.Holds(values.is_contiguous() && weight.is_contiguous());
        Invariant.Holds(values.shape[1] == weight.shape[1] && weight.shape[1] % (leaves * TensorMaps.ColumnsUnit) == 0);
        var (rows, outputs, width) = ((int)values.shape[0], (int)weight.shape[0], (int)weight.shape[1] / leaves);
        return new ProductArguments
        {
            Input = _maps.Of(Address(values), rows, width, leaves),
            Weights = _maps.OfWeight(Address(weight), outputs, width, leaves),
            Output = output,
            Rows = rows,
            Outputs = outputs,
            OutputStride = outputs,
            LeafWidth = width,
        };
    }

    private void Launch(string product, ProductTiles tiles, ProductArguments* arguments)
    {
        var pointers = stackalloc void*[] { arguments };
        var blocks = tiles.Blocks(arguments->Rows, arguments->Outputs, _multiprocessors);
        // Room to begin at a multiple of 1024, and for the barriers.
        const int SharedBytes = RingBytes + 1_024 + 256;
        _module.Launch(
            _stream, product + tiles.Name,
            new LaunchShape(blocks, 1, 1, Threads, SharedBytes, tiles.Cluster, StartsEarly: false), pointers);
    }

    private static nint Address(Tensor tensor) => (nint)TensorMemory.Pointer(tensor);
}

/// <summary>How a product is cut into tiles of 128 rows; no bit depends on it.</summary>
/// <param name="Name">Behind the product's name in the kernel's.</param>
/// <param name="Outputs">Of a tile.</param>
/// <param name="Cluster">Blocks that take the same outputs of neighbouring rows.</param>
internal readonly record struct ProductTiles(string Name, int Outputs, int Cluster)
{
    /// <summary>Rows up to which one tile takes all, so that the weights' way in is what counts.</summary>
    public const int RowsOfFew = TileRows;

    private const int TileRows = 128;

    /// <summary>Tiles of 256 outputs make the most of what is loaded, those of 128 leave fewer blocks idle at the end:
    /// whichever of the two is done first.</summary>
    public static ProductTiles Choose(int rows, int outputs, int multiprocessors)
    {
        if (rows <= RowsOfFew) return new ProductTiles("Few", 128, Cluster: 1);
        ProductTiles wide = new("256", 256, Cluster: 2), narrow = new("128", 128, Cluster: 2);
        // Measured: a narrow tile takes a little more than half of a wide one's time.
        const double NarrowTime = 0.57;
        return wide.Turns(rows, outputs, multiprocessors) <= NarrowTime * narrow.Turns(rows, outputs, multiprocessors)
            ? wide : narrow;
    }

    /// <summary>Blocks to start: each takes several tiles where there are more than the device runs at once.</summary>
    public int Blocks(int rows, int outputs, int multiprocessors) =>
        Math.Min(Tiles(rows, outputs), multiprocessors / Cluster) * Cluster;

    private int Turns(int rows, int outputs, int multiprocessors) =>
        Parts(Tiles(rows, outputs), multiprocessors / Cluster);

    /// <summary>Tiles, those of a cluster counted as one.</summary>
    private int Tiles(int rows, int outputs) => Parts(rows, TileRows * Cluster) * Parts(outputs, Outputs);

    private static int Parts(int all, int each) => (all + each - 1) / each;
}
