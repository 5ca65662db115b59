using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>How a layer's feed-forward part is built.</summary>
public enum MlpShape
{
    /// <summary>Gate, up and down without biases (LLaMA).</summary>
    Gated,

    /// <summary>Up and down with biases (GPT, OPT).</summary>
    Plain,
}

/// <summary>
/// A decoder's sizes, as a config.json states them: enough to plan with, without the model's files. The engine's own
/// families name the same tensors; the planner needs only their shapes and cuts.
/// </summary>
public sealed record TransformerShape(
    string Name,
    int LayerCount,
    int HiddenSize,
    int HeadCount,
    int KvHeadCount,
    int IntermediateSize,
    int VocabularySize,
    int ContextMax,
    ElementType WeightType,
    bool TiedEmbedding = false,
    MlpShape Mlp = MlpShape.Gated)
{
    /// <summary>Longest axis that is planned with: products of two stay far within 64 bits.</summary>
    public const int SizeMax = 1 << 24;

    /// <summary>Rows per head; HiddenSize / HeadCount unless the configuration names another.</summary>
    public int HeadSize { get; init; } = HeadCount > 0 ? HiddenSize / HeadCount : 0;

    /// <exception cref="PlanningInputException">A size is not at least 1, or the kv heads do not divide the
    /// heads.</exception>
    public ModelSpec ToModelSpec()
    {
        Inputs.Between(LayerCount, 1, 4096, "The layer count");
        Inputs.Between(HiddenSize, 1, SizeMax, "The hidden size");
        Inputs.Between(HeadCount, 1, 4096, "The head count");
        Inputs.Between(KvHeadCount, 1, HeadCount, "The key/value head count");
        Inputs.Between(HeadSize, 1, SizeMax, "The head size");
        Inputs.Between(IntermediateSize, 1, SizeMax, "The intermediate size");
        Inputs.Between(VocabularySize, 1, SizeMax, "The vocabulary size");
        Inputs.AtLeast(ContextMax, 1, "The context length");
        if (HeadCount % KvHeadCount != 0)
        {
            throw new PlanningInputException(
                "The key/value head count", KvHeadCount, $"a divisor of the {HeadCount} heads");
        }

        var embedding = Matrix("model.embed_tokens.weight", VocabularySize, HiddenSize, TensorSplit.Vocabulary);
        var head = TiedEmbedding
            ? embedding
            : Matrix("lm_head.weight", VocabularySize, HiddenSize, TensorSplit.Vocabulary);
        return new ModelSpec(
            Name,
            Mlp == MlpShape.Gated ? "llama" : "gpt",
            Fingerprint: $"shape:{Name}:{LayerCount}x{HiddenSize}",
            LayerCount,
            HiddenSize,
            HeadCount,
            KvHeadCount,
            HeadSize,
            IntermediateSize,
            VocabularySize,
            ContextMax,
            WeightType,
            Front: [embedding],
            Layer: [.. Attention(), .. Mlp == MlpShape.Gated ? GatedMlp() : PlainMlp()],
            Back: [Vector("model.norm.weight", HiddenSize, TensorSplit.Replicated), head]);
    }

    /// <summary>GPT-20B as the paper's evaluation has it: 44 layers of 6,144, float32.</summary>
    public static TransformerShape Gpt20B => new(
        "GPT-20B", 44, 6144, 64, 64, 24_576, 50_257, 2048, ElementType.Float32, TiedEmbedding: true, MlpShape.Plain);

    private IEnumerable<TensorSpec> Attention()
    {
        var rows = HeadCount * HeadSize;
        var kvRows = KvHeadCount * HeadSize;
        yield return Vector("model.layers.{0}.input_layernorm.weight", HiddenSize, TensorSplit.Replicated);
        yield return Matrix("model.layers.{0}.self_attn.q_proj.weight", rows, HiddenSize, TensorSplit.Output);
        yield return Matrix("model.layers.{0}.self_attn.k_proj.weight", kvRows, HiddenSize, TensorSplit.KvHeads);
        yield return Matrix("model.layers.{0}.self_attn.v_proj.weight", kvRows, HiddenSize, TensorSplit.KvHeads);
        yield return Matrix("model.layers.{0}.self_attn.o_proj.weight", HiddenSize, rows, TensorSplit.Input);
        yield return Vector("model.layers.{0}.post_attention_layernorm.weight", HiddenSize, TensorSplit.Replicated);
    }

    private IEnumerable<TensorSpec> GatedMlp()
    {
        yield return Matrix("model.layers.{0}.mlp.gate_proj.weight", IntermediateSize, HiddenSize, TensorSplit.Output);
        yield return Matrix("model.layers.{0}.mlp.up_proj.weight", IntermediateSize, HiddenSize, TensorSplit.Output);
        yield return Matrix("model.layers.{0}.mlp.down_proj.weight", HiddenSize, IntermediateSize, TensorSplit.Input);
    }

    private IEnumerable<TensorSpec> PlainMlp()
    {
        yield return Matrix("model.layers.{0}.mlp.up_proj.weight", IntermediateSize, HiddenSize, TensorSplit.Output);
        yield return Vector("model.layers.{0}.mlp.up_proj.bias", IntermediateSize, TensorSplit.Output);
        yield return Matrix("model.layers.{0}.mlp.down_proj.weight", HiddenSize, IntermediateSize, TensorSplit.Input);
        yield return Vector("model.layers.{0}.mlp.down_proj.bias", HiddenSize, TensorSplit.Replicated);
    }

    private static TensorSpec Matrix(string name, long rows, long columns, TensorSplit split) =>
        new(name, ImmutableArray.Create(rows, columns), split);

    private static TensorSpec Vector(string name, long rows, TensorSplit split) =>
        new(name, ImmutableArray.Create(rows), split);
}
