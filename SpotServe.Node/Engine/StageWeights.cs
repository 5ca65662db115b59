using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Node.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>
/// Loads a position's weight slices into tensors of their own size. A tensor that two parts of the model use (a tied
/// embedding) is loaded once.
/// </summary>
internal sealed unsafe class StageWeights : IDisposable
{
    private const long StagingBytes = 64 << 20;

    private readonly ModelSpec _model;
    private readonly StageAssignment _assignment;
    private readonly IWeightSource _source;
    private readonly Device _device;
    private readonly IProgress<LoadProgress>? _progress;
    private readonly CancellationToken _cancel;
    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly long _totalBytes;
    private long _loadedBytes;

    public StageWeights(ModelSpec model, StageAssignment assignment, IWeightSource source, Device device,
        IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        _model = model;
        _assignment = assignment;
        _source = source;
        _device = device;
        _progress = progress;
        _cancel = cancel;
        _totalBytes = CountBytes();
    }

    /// <summary>Bytes of all tensors loaded so far, in device memory.</summary>
    public long Bytes => _tensors.Values.Sum(tensor => tensor.NumberOfElements * tensor.ElementSize);

    /// <summary>A weight matrix's slice in the model's weight type.</summary>
    /// <param name="layer">The layer whose index goes into the name; ignored outside layers.</param>
    public Tensor Matrix(string name, int layer = 0) => Matrix([name], layer);

    /// <summary>Slices of several matrices of equal width, one below the other: one product instead of
    /// several.</summary>
    public Tensor Matrix(ReadOnlySpan<string> names, int layer) => Load(names, layer, _model.WeightType);

    /// <summary>Norm weights and other vectors that are added or multiplied in float32.</summary>
    public Tensor Vector(string name, int layer = 0) => Load([name], layer, ElementType.Float32);

    /// <summary>A vector that only one rank applies (a bias added after the sum); null on the others.</summary>
    public Tensor? VectorOnFirstRank(string name, int layer) =>
        _assignment.Position.Rank == 0 ? Vector(name, layer) : null;

    /// <summary>Biases of matrices loaded together, in the weight type.</summary>
    public Tensor Bias(ReadOnlySpan<string> names, int layer) => Load(names, layer, _model.WeightType);

    public void Dispose()
    {
        foreach (var tensor in _tensors.Values) tensor.Dispose();
        _tensors.Clear();
    }

    private Tensor Load(ReadOnlySpan<string> names, int layer, ElementType type)
    {
        var key = $"{type} {layer} {string.Join('+', names.ToArray())}";
        if (_tensors.TryGetValue(key, out var loaded)) return loaded;

        var parts = new (TensorSpec Tensor, Rectangle Part)[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            var tensor = Find(names[i]);
            parts[i] = (tensor, PartOf(tensor));
        }

        var rows = parts.Sum(part => part.Part.Rows.Count);
        var isVector = parts[0].Tensor.Shape.Length == 1;
        long[] shape = isVector ? [rows] : [rows, parts[0].Part.Columns.Count];
        var target = empty(shape, type.ToTorch(), _device).DetachFromDisposeScope();
        _tensors.Add(key, target);
        long firstRow = 0;
        foreach (var (tensor, part) in parts)
        {
            using var view = target.narrow(0, firstRow, part.Rows.Count);
            Fill(view, tensor, layer, part, type);
            firstRow += part.Rows.Count;
        }

        return target;
    }

    private void Fill(Tensor target, TensorSpec tensor, int layer, Rectangle part, ElementType type)
    {
        var name = tensor.NameAt(layer);
        if (_device.type == DeviceType.CPU)
        {
            _source.Read(name, tensor.Shape, part, TensorMemory.Pointer(target), type, Report, _cancel);
            return;
        }

        // Through host memory of bounded size, a band of rows at a time.
        var bandRows = Math.Max(1, StagingBytes / Math.Max(1, part.Columns.Count * type.Bytes()));
        for (long first = 0; first < part.Rows.Count; first += bandRows)
        {
            var count = Math.Min(bandRows, part.Rows.Count - first);
            var band = part with
            {
                Rows = new AxisRange(part.Rows.First + first, part.Rows.First + first + count),
            };
            using var to = target.narrow(0, first, count);
            using var host = empty(to.shape, type.ToTorch());
            _source.Read(name, tensor.Shape, band, TensorMemory.Pointer(host), type, Report, _cancel);
            to.copy_(host);
        }
    }

    private void Report(long bytes) =>
        _progress?.Report(new LoadProgress(Interlocked.Add(ref _loadedBytes, bytes), _totalBytes));

    private TensorSpec Find(string name) =>
        _model.Layer.Concat(_model.Front).Concat(_model.Back).FirstOrDefault(tensor => tensor.Name == name)
        ?? throw new ArgumentException($"Family {_model.Family} lists no tensor {name}.", nameof(name));

    private Rectangle PartOf(TensorSpec tensor)
    {
        var (axis, range) = TensorSlices.Of(_model, tensor, _assignment.Position.Rank, _assignment.RankCount);
        var all = new AxisRange(0, tensor.Shape.Length > 1 ? tensor.Shape[1] : 1);
        return axis == 1
            ? new Rectangle(new AxisRange(0, tensor.Shape[0]), range)
            : new Rectangle(range, all);
    }

    private long CountBytes()
    {
        var layers = _model.Layer.Sum(tensor => PartOf(tensor).Elements) * _assignment.Layers.Count;
        var ends = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var tensor in _assignment.IsFirst ? _model.Front : [])
            ends[tensor.Name] = PartOf(tensor).Elements;
        foreach (var tensor in _assignment.IsLast ? _model.Back : [])
            ends[tensor.Name] = PartOf(tensor).Elements;
        return (layers + ends.Values.Sum()) * _model.WeightType.Bytes();
    }
}
