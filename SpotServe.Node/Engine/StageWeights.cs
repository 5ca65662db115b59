using SpotServe.Actors;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>A position's weights by name, for the families to compose their blocks of. The tensors belong to the
/// set.</summary>
internal sealed class StageWeights(WeightSet weights, StageAssignment assignment)
{
    /// <summary>A weight matrix's slice in the model's weight type.</summary>
    /// <param name="layer">The layer whose index goes into the name; ignored outside layers.</param>
    public Tensor Matrix(string name, int layer = 0) => Find([name], layer);

    /// <summary>Slices of several matrices of equal width, one below the other: one product instead of several. The
    /// family's <see cref="Families.FamilyTensors.Stacked"/> lists them.</summary>
    public Tensor Matrix(ReadOnlySpan<string> names, int layer) => Find(names, layer);

    /// <summary>Norm weights and other vectors that are added or multiplied in float32.</summary>
    public Tensor Vector(string name, int layer = 0)
    {
        var vector = Find([name], layer);
        Invariant.Holds(vector.dtype == ScalarType.Float32);
        return vector;
    }

    /// <summary>A vector that only one rank applies (a bias added after the sum); null on the others.</summary>
    public Tensor? VectorOnFirstRank(string name, int layer) =>
        assignment.Position.Rank == 0 ? Vector(name, layer) : null;

    /// <summary>Biases of matrices loaded together, in the weight type.</summary>
    public Tensor Bias(ReadOnlySpan<string> names, int layer) => Find(names, layer);

    private Tensor Find(ReadOnlySpan<string> names, int layer)
    {
        var found = names[0].Contains("{0}", StringComparison.Ordinal)
            ? weights.Find(TensorGroup.Layers, layer)?.Find(names)
            : weights.Find(TensorGroup.Front, 0)?.Find(names) ?? weights.Find(TensorGroup.Back, 0)?.Find(names);
        return found is { } stack ? ((TorchBytes)stack.Memory).Tensor : throw new ArgumentException(
            $"The family lists no tensor or stack {string.Join(" + ", names.ToArray())}.", nameof(names));
    }
}
