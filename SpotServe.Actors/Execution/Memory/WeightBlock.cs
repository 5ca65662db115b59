using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>What a block holds: a share of one layer, or of the front or back (layer 0).</summary>
public readonly record struct WeightKey(TensorGroup Group, int Layer, Share Share)
{
    public WeightSlice Slice => new(Group, new LayerRange(Layer, Layer + 1), Share);

    /// <summary>The layers of a slice, one key each.</summary>
    public static IEnumerable<WeightKey> Of(WeightSlice slice)
    {
        for (var layer = slice.Layers.First; layer < slice.Layers.End; layer++)
            yield return new WeightKey(slice.Group, layer, slice.Share);
    }
}

/// <summary>Where a block has its part of one logical tensor.</summary>
/// <param name="Part">The rectangle of the logical tensor that is here.</param>
/// <param name="Memory">Memory of the stack that it is in.</param>
/// <param name="Offset">Byte of the stack's memory where the rectangle begins.</param>
public sealed record PlacedTensor(
    TensorSpec Tensor, Rectangle Part, TensorBytes Memory, long Offset, ElementType Type)
{
    /// <summary>Bytes from one row to the next; rows have no gaps.</summary>
    public long RowBytes => Part.Columns.Count * Type.Bytes();

    /// <summary>Byte of the memory where an element of the logical tensor lies.</summary>
    public long OffsetOf(long row, long column) =>
        Offset + ((row - Part.Rows.First) * RowBytes) + ((column - Part.Columns.First) * Type.Bytes());
}

/// <summary>A share of one layer's weights in device memory, as the engines use them.</summary>
public sealed class WeightBlock
{
    private readonly ImmutableArray<StackedTensors> _stacks;
    private readonly ImmutableArray<TensorBytes> _memories;

    /// <param name="memories">One for each of the group's stacks; the block becomes an owner in place of the
    /// caller.</param>
    public WeightBlock(WeightShape shape, WeightKey key, ImmutableArray<TensorBytes> memories)
    {
        Key = key;
        _stacks = shape.Stacks(key.Group);
        _memories = memories;
        var placed = new Dictionary<TensorSpec, PlacedTensor>(ReferenceEqualityComparer.Instance);
        foreach (var (stack, memory) in _stacks.Zip(memories))
        {
            long offset = 0;
            foreach (var tensor in stack.Parts)
            {
                var part = new PlacedTensor(tensor, shape.RectangleOf(tensor, key.Share), memory, offset, stack.Type);
                placed.Add(tensor, part);
                offset += part.Part.Elements * stack.Type.Bytes();
            }

            Invariant.Holds(offset == memory.Length);
        }

        Tensors = [.. shape.Specs(key.Group).Select(tensor => placed[tensor])];
    }

    public WeightKey Key { get; }

    /// <summary>The group's tensors in the model's order.</summary>
    public ImmutableArray<PlacedTensor> Tensors { get; }

    /// <summary>Engines, open transfers and preparations that use it; the store's lock guards it.</summary>
    internal int Users { get; set; }

    public long Bytes => _memories.Sum(memory => memory.Length);

    public IEnumerable<TensorBytes> Memories => _memories;

    /// <summary>Memory of the stack of these tensors, null when the group has no such stack.</summary>
    public (TensorBytes Memory, StackedTensors Stack)? Find(ReadOnlySpan<string> names)
    {
        for (var i = 0; i < _stacks.Length; i++)
        {
            var parts = _stacks[i].Parts;
            var same = parts.Length == names.Length;
            for (var j = 0; same && j < names.Length; j++) same = parts[j].Name == names[j];
            if (same) return (_memories[i], _stacks[i]);
        }

        return null;
    }

    internal void Free()
    {
        Invariant.Holds(Users == 0);
        foreach (var memory in _memories) memory.Release();
    }
}
