using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>The complete blocks that an engine uses. Keeps them in memory until disposed.</summary>
public sealed class WeightSet : IDisposable
{
    private readonly Dictionary<(TensorGroup Group, int Layer), WeightBlock> _blocks;
    private readonly WeightStore _store;
    private bool _disposed;

    internal WeightSet(WeightStore store, IEnumerable<WeightBlock> blocks)
    {
        _store = store;
        _blocks = blocks.ToDictionary(block => (block.Key.Group, block.Key.Layer));
    }

    public IEnumerable<WeightBlock> Blocks => _blocks.Values;

    /// <summary>Bytes in device memory; what front and back share counts once.</summary>
    public long Bytes => _blocks.Values.SelectMany(block => block.Memories)
        .Distinct(ReferenceEqualityComparer.Instance).Cast<TensorBytes>().Sum(memory => memory.Length);

    /// <summary>Null when the set has nothing of this group and layer.</summary>
    public WeightBlock? Find(TensorGroup group, int layer) => _blocks.GetValueOrDefault((group, layer));

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _store.Return(_blocks.Values);
    }
}
