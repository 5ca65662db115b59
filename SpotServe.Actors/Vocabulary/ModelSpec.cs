using System.Collections.Immutable;

namespace SpotServe.Actors.Vocabulary;

/// <summary>Number format of stored or computed values.</summary>
public enum ElementType
{
    Float32,
    Float16,
    BFloat16,
}

public static class ElementTypes
{
    public static int Bytes(this ElementType type) => type == ElementType.Float32 ? 4 : 2;
}

/// <summary>How tensor parallelism cuts a weight; matrices are [output, input] as Hugging Face stores linear
/// layers.</summary>
public enum TensorSplit
{
    /// <summary>Every rank holds all of it (norms, biases added after the sum).</summary>
    Replicated,

    /// <summary>Axis 0 in even parts (column-parallel: gate, up, query heads, their biases).</summary>
    Output,

    /// <summary>Axis 1 in even parts (row-parallel: attention output, down). Results are summed over the
    /// ranks.</summary>
    Input,

    /// <summary>Axis 0 by key/value heads: a rank holds those that its query heads read, so they overlap when M exceeds
    /// them.</summary>
    KvHeads,

    /// <summary>Axis 0 in even parts of the vocabulary (embedding, output head).</summary>
    Vocabulary,
}

/// <summary>A logical weight of a model.</summary>
/// <param name="Name">Checkpoint name; layer tensors have "{0}" where the layer's index goes.</param>
/// <param name="Shape">Full shape, one or two dimensions.</param>
public sealed record TensorSpec(string Name, ImmutableArray<long> Shape, TensorSplit Split)
{
    public long ElementCount => Shape.Aggregate(1L, (product, n) => product * n);

    public string NameAt(int layer) => Name.Replace(
        "{0}", layer.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal);
}

/// <summary>What planning and execution need to know of a model: its shape, and its weights as slices.</summary>
/// <param name="Name">Name that clients use.</param>
/// <param name="Family">config.json's model_type, e.g. "llama".</param>
/// <param name="Fingerprint">Hash of configuration and weight header: nodes with another one serve another
/// model.</param>
/// <param name="WeightType">Element type in device memory.</param>
/// <param name="Front">Tensors of the first stage, before layer 0 (embedding).</param>
/// <param name="Layer">Tensors of every layer.</param>
/// <param name="Back">Tensors of the last stage (final norm, head; the embedding again where tied).</param>
public sealed record ModelSpec(
    string Name,
    string Family,
    string Fingerprint,
    int LayerCount,
    int HiddenSize,
    int HeadCount,
    int KvHeadCount,
    int HeadSize,
    int IntermediateSize,
    int VocabularySize,
    int ContextMax,
    ElementType WeightType,
    ImmutableArray<TensorSpec> Front,
    ImmutableArray<TensorSpec> Layer,
    ImmutableArray<TensorSpec> Back);

/// <summary>Elements [First, End) of an axis.</summary>
public readonly record struct AxisRange(long First, long End)
{
    public long Count => End - First;
}

/// <summary>Which part of an axis a tensor rank holds, in closed form.</summary>
public static class TensorSlices
{
    /// <summary>Even cut of <paramref name="size"/> elements: [size m/M, size (m+1)/M), the same rule for every
    /// M.</summary>
    public static AxisRange Even(long size, int rank, int rankCount) =>
        new(size * rank / rankCount, size * (rank + 1) / rankCount);

    /// <summary>Query heads of a rank. M divides the heads.</summary>
    public static AxisRange QueryHeads(ModelSpec model, int rank, int rankCount) =>
        Even(model.HeadCount, rank, rankCount);

    /// <summary>Key/value heads that a rank's query heads read; ranks overlap when M exceeds the kv heads.</summary>
    public static AxisRange KvHeads(ModelSpec model, int rank, int rankCount)
    {
        var query = QueryHeads(model, rank, rankCount);
        var group = model.HeadCount / model.KvHeadCount;
        return new AxisRange(query.First / group, (query.End + group - 1) / group);
    }

    /// <summary>The axis that is cut (0 or 1), or -1 for a replicated tensor, and the range that the rank
    /// holds.</summary>
    public static (int Axis, AxisRange Range) Of(ModelSpec model, TensorSpec tensor, int rank, int rankCount)
    {
        switch (tensor.Split)
        {
            case TensorSplit.Replicated:
                return (-1, new AxisRange(0, tensor.Shape[0]));
            case TensorSplit.Input:
                return (1, Even(tensor.Shape[1], rank, rankCount));
            case TensorSplit.KvHeads:
                var heads = KvHeads(model, rank, rankCount);
                var rows = tensor.Shape[0] / model.KvHeadCount;
                return (0, new AxisRange(heads.First * rows, heads.End * rows));
            case TensorSplit.Output or TensorSplit.Vocabulary:
                return (0, Even(tensor.Shape[0], rank, rankCount));
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }
}
