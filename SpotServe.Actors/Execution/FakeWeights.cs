using System.Runtime.InteropServices;
using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Actors.Execution;

/// <summary>
/// Weights of a made model: every element is a hash of its tensor's name and its place, so that a part that came from
/// elsewhere, or went to a wrong place, shows.
/// </summary>
internal sealed class FakeWeights(WeightShape shape) : IWeightMemory
{
    public static WeightShape Shape(ModelSpec model) => new(model, [], _ => ElementType.Float32);

    public TensorBytes Allocate(StackedTensors stack, WeightKey key)
    {
        Invariant.Holds(stack.Parts.Length == 1);
        return new FakeTensor(shape.RectangleOf(stack.Parts[0], key.Share).Elements * sizeof(uint));
    }

    public TensorBytes? Map(StackedTensors stack, WeightKey key, CancellationToken cancel) => null;

    public void Load(
        PlacedTensor tensor, int layer, Rectangle part, Action<long> onBytes, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var name = NameHash(tensor.Tensor, layer);
        var values = ((FakeTensor)tensor.Memory).Values;
        for (var row = part.Rows.First; row < part.Rows.End; row++)
        {
            var at = (int)(tensor.OffsetOf(row, part.Columns.First) / sizeof(uint));
            for (var column = part.Columns.First; column < part.Columns.End; column++)
                values[at++] = Value(name, row, column);
        }

        onBytes(part.Elements * sizeof(uint));
    }

    /// <summary>True when every element of an engine's weights is the model's.</summary>
    public static bool AreRight(WeightSet weights) => weights.Blocks.All(IsRight);

    /// <summary>True while nothing of an engine's weights was given back.</summary>
    public static bool AreHeld(WeightSet weights)
    {
        foreach (var block in weights.Blocks)
        {
            foreach (var placed in block.Tensors)
            {
                if (((FakeTensor)placed.Memory).IsFreed) return false;
            }
        }

        return true;
    }

    private static bool IsRight(WeightBlock block)
    {
        foreach (var placed in block.Tensors)
        {
            var name = NameHash(placed.Tensor, block.Key.Layer);
            var values = ((FakeTensor)placed.Memory).Values;
            var at = 0;
            for (var row = placed.Part.Rows.First; row < placed.Part.Rows.End; row++)
            {
                for (var column = placed.Part.Columns.First; column < placed.Part.Columns.End; column++)
                {
                    if (values[at++] != Value(name, row, column)) return false;
                }
            }
        }

        return true;
    }

    private static uint NameHash(TensorSpec tensor, int layer)
    {
        var hash = 2_166_136_261u;
        foreach (var letter in tensor.Name) hash = (hash ^ letter) * 16_777_619;
        return (hash ^ (uint)(tensor.Name.Contains('{', StringComparison.Ordinal) ? layer : 0)) * 16_777_619;
    }

    // Cheap, because simulations make thousands of devices: distinct within a tensor, mixed by the name.
    private static uint Value(uint name, long row, long column) =>
        name ^ ((((uint)row << 12) + (uint)column) * 0x9E3779B1);

    /// <summary>Host memory whose bytes are checked.</summary>
    private sealed class FakeTensor(long bytes) : TensorBytes(bytes)
    {
        private readonly uint[] _values = new uint[bytes / sizeof(uint)];

        public bool IsFreed { get; private set; }

        public Span<uint> Values => _values;

        public override Span<byte> Direct(long offset, long bytes)
        {
            Invariant.Holds(!IsFreed);
            return MemoryMarshal.AsBytes(_values.AsSpan()).Slice((int)offset, (int)bytes);
        }

        public override void Read(long offset, Span<byte> into) => Direct(offset, into.Length).CopyTo(into);

        public override void Write(long offset, ReadOnlySpan<byte> from) => from.CopyTo(Direct(offset, from.Length));

        protected override void Free() => IsFreed = true;
    }
}
