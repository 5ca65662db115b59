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
    /// <summary>Rows per head; HiddenSize / HeadCount unless the configuration names another.</summary>
    public int HeadSize { get; init; } = HeadCount > 0 ? HiddenSize / HeadCount : 0;

    /// <exception cref="PlanningInputException">A size is not at least 1, or the kv heads do not divide the
    /// heads.</exception>
    public ModelSpec ToModelSpec()
    {
        Inputs.AtLeast(LayerCount, 1, "The layer count");
        Inputs.AtLeast(HiddenSize, 1, "The hidden size");
        Inputs.AtLeast(HeadCount, 1, "The head count");
        Inputs.AtLeast(KvHeadCount, 1, "The key/value head count");
        Inputs.AtLeast(HeadSize, 1, "The head size");
        Inputs.AtLeast(IntermediateSize, 1, "The intermediate size");
        Inputs.AtLeast(VocabularySize, 1, "The vocabulary size");
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
