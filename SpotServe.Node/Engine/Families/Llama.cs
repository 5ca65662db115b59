using System.Collections.Immutable;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>LLaMA 1 to 3 and models of their shape (SmolLM): RMS norms, rotary positions, grouped-query attention, a
/// gated feed-forward part. Other families change what they have otherwise.</summary>
[ModelType("llama")]
internal class Llama : ModelFamily
{
    protected const string LayerPrefix = "model.layers.{0}.";
    protected const string Query = LayerPrefix + "self_attn.q_proj";
    protected const string Key = LayerPrefix + "self_attn.k_proj";
    protected const string Value = LayerPrefix + "self_attn.v_proj";
    protected const string Output = LayerPrefix + "self_attn.o_proj";
    protected const string Gate = LayerPrefix + "mlp.gate_proj";
    protected const string Up = LayerPrefix + "mlp.up_proj";
    protected const string Down = LayerPrefix + "mlp.down_proj";
    protected const string InputNorm = LayerPrefix + "input_layernorm.weight";
    protected const string PostAttentionNorm = LayerPrefix + "post_attention_layernorm.weight";
    protected const string Embedding = "model.embed_tokens.weight";
    private const string FinalNorm = "model.norm.weight";
    private const string Head = "lm_head.weight";
    private static readonly string[] Projections = [Query, Key, Value];
    private static readonly string[] Matrices = [.. Projections.Select(name => name + ".weight")];
    private static readonly string[] Biases = [.. Projections.Select(name => name + ".bias")];

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Flags = ["attention_bias", "mlp_bias"],
        Only = [("rope_interleaved", "false")],
    };

    public override FamilyTensors Tensors(ModelConfig config)
    {
        int hidden = config.Hidden, queries = config.Heads * config.HeadSize, keys = config.KvHeads * config.HeadSize;
        return new FamilyTensors(
            Front: [Matrix(Embedding, config.Vocabulary, hidden, TensorSplit.Vocabulary)],
            Layer:
            [
                .. LayerNorms.Select(name => Vector(name, hidden)),
                Matrix(Query + ".weight", queries, hidden, TensorSplit.Output),
                Matrix(Key + ".weight", keys, hidden, TensorSplit.KvHeads),
                Matrix(Value + ".weight", keys, hidden, TensorSplit.KvHeads),
                Matrix(Output + ".weight", hidden, queries, TensorSplit.Input),
                Matrix(Gate + ".weight", config.Intermediate, hidden, TensorSplit.Output),
                Matrix(Up + ".weight", config.Intermediate, hidden, TensorSplit.Output),
                Matrix(Down + ".weight", hidden, config.Intermediate, TensorSplit.Input),
                .. BiasesOf(config, hidden, queries, keys),
                .. AttentionExtras(config),
            ],
            Back:
            [
                Vector(FinalNorm, hidden),
                Matrix(HeadName(config), config.Vocabulary, hidden, TensorSplit.Vocabulary),
            ],
            // Tied models are stored with either name.
            Aliases: config.TiedEmbeddings
                ? ImmutableDictionary<string, string>.Empty.Add(Embedding, Head)
                : ImmutableDictionary<string, string>.Empty,
            Stacked: HasQueryBias(config) ? [[.. Matrices], [.. Biases]] : [[.. Matrices]],
            BasePrefix: "model.");
    }

    public override Func<Tensor> Front(StageParts parts) =>
        new VocabularyEmbedding(parts.Stage, parts.Weights.Matrix(Embedding), EmbeddingMultiplier(parts)).Apply;

    public override ILayer Layer(StageParts parts, int layer) => new PreNormLayer(
        Norm(parts, InputNorm, layer), Attention(parts, layer), Norm(parts, PostAttentionNorm, layer),
        Mlp(parts, layer));

    public override OutputHead Back(StageParts parts) => new(
        parts.Stage,
        Norm(parts, FinalNorm, 0),
        new ColumnLinear(parts.Stage, parts.Weights.Matrix(HeadName(parts.Config))),
        Logits(parts.Config));

    /// <summary>A layer's norms over the hidden size.</summary>
    protected virtual IEnumerable<string> LayerNorms => [InputNorm, PostAttentionNorm];

    /// <summary>Tensors of a layer's attention beyond LLaMA's.</summary>
    protected virtual IEnumerable<TensorSpec> AttentionExtras(ModelConfig config) => [];

    protected virtual bool HasQueryBias(ModelConfig config) => config.Flag("attention_bias");

    protected virtual bool HasOutputBias(ModelConfig config) => config.Flag("attention_bias");

    protected virtual AttentionOptions Options(StageParts parts, int layer) =>
        new(parts.Rotary, parts.Config.WindowOf(layer));

    protected virtual double EmbeddingMultiplier(StageParts parts) => 1;

    protected virtual double ResidualMultiplier(ModelConfig config) => 1;

    protected virtual LogitOptions Logits(ModelConfig config) => new();

    protected virtual INormalization Norm(StageParts parts, string name, int layer) =>
        new RmsNorm(parts.Stage, parts.Weights.Vector(name, layer), parts.Config.NormEpsilon);

    /// <param name="norm">Of what is added to the stream; null for none.</param>
    protected PagedAttention Attention(StageParts parts, int layer, INormalization? norm = null)
    {
        var bias = HasQueryBias(parts.Config) ? parts.Weights.Bias(Biases, layer) : null;
        return new PagedAttention(
            parts.Stage, layer, new ColumnLinear(parts.Stage, parts.Weights.Matrix(Matrices, layer), bias),
            Row(parts, Output, layer, HasOutputBias(parts.Config), norm), Options(parts, layer));
    }

    /// <param name="norm">As for <see cref="Attention"/>.</param>
    protected GatedMlp Mlp(StageParts parts, int layer, INormalization? norm = null)
    {
        var hasBias = parts.Config.Flag("mlp_bias");
        return new GatedMlp(
            parts.Stage, Column(parts, Gate, layer, hasBias), Column(parts, Up, layer, hasBias),
            Row(parts, Down, layer, hasBias, norm), parts.Config.Activation);
    }

    private static ColumnLinear Column(StageParts parts, string name, int layer, bool hasBias) => new(
        parts.Stage,
        parts.Weights.Matrix(name + ".weight", layer),
        hasBias ? parts.Weights.Bias([name + ".bias"], layer) : null);

    private RowLinear Row(StageParts parts, string name, int layer, bool hasBias, INormalization? norm) => new(
        parts.Stage,
        parts.Weights.Matrix(name + ".weight", layer),
        hasBias ? parts.Weights.VectorOnFirstRank(name + ".bias", layer) : null,
        norm,
        ResidualMultiplier(parts.Config));

    private IEnumerable<TensorSpec> BiasesOf(ModelConfig config, int hidden, int queries, int keys)
    {
        if (HasQueryBias(config))
        {
            yield return Vector(Biases[0], queries, TensorSplit.Output);
            yield return Vector(Biases[1], keys, TensorSplit.KvHeads);
            yield return Vector(Biases[2], keys, TensorSplit.KvHeads);
        }

        if (HasOutputBias(config)) yield return Vector(Output + ".bias", hidden);
        if (!config.Flag("mlp_bias")) yield break;
        yield return Vector(Gate + ".bias", config.Intermediate, TensorSplit.Output);
        yield return Vector(Up + ".bias", config.Intermediate, TensorSplit.Output);
        yield return Vector(Down + ".bias", hidden);
    }

    private static string HeadName(ModelConfig config) => config.TiedEmbeddings ? Embedding : Head;
}

/// <summary>Mistral: LLaMA with a sliding window.</summary>
[ModelType("mistral")]
internal sealed class Mistral : Llama
{
    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        KvHeads = 8,
        Windows = WindowRule.All,
        Window = 4096,
    };
}
