using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>LLaMA 1 to 3 and models of their shape: RMS norms, rotary positions, grouped-query attention, SwiGLU.
/// Mistral is one, with a sliding window; Qwen 2 and 3 add to its attention.</summary>
[ModelType("llama")]
[ModelType("mistral")]
internal class Llama : ModelFamily
{
    protected const string LayerPrefix = "model.layers.{0}.";
    protected const string Query = LayerPrefix + "self_attn.q_proj";
    protected const string Key = LayerPrefix + "self_attn.k_proj";
    protected const string Value = LayerPrefix + "self_attn.v_proj";
    protected static readonly string[] Projections = [Query, Key, Value];
    private const string Output = LayerPrefix + "self_attn.o_proj.weight";
    private const string Gate = LayerPrefix + "mlp.gate_proj.weight";
    private const string Up = LayerPrefix + "mlp.up_proj.weight";
    private const string Down = LayerPrefix + "mlp.down_proj.weight";
    private const string AttentionNorm = LayerPrefix + "input_layernorm.weight";
    private const string MlpNorm = LayerPrefix + "post_attention_layernorm.weight";
    private const string Embedding = "model.embed_tokens.weight";
    private const string FinalNorm = "model.norm.weight";
    private const string Head = "lm_head.weight";

    public override FamilyTensors Tensors(ModelConfig config)
    {
        int hidden = config.Hidden, queries = config.Heads * config.HeadSize, keys = config.KvHeads * config.HeadSize;
        Refuse(config, "attention_bias", "mlp_bias");
        return new FamilyTensors(
            Front: [Matrix(Embedding, config.Vocabulary, hidden, TensorSplit.Vocabulary)],
            Layer:
            [
                Vector(AttentionNorm, hidden),
                Matrix(Query + ".weight", queries, hidden, TensorSplit.Output),
                Matrix(Key + ".weight", keys, hidden, TensorSplit.KvHeads),
                Matrix(Value + ".weight", keys, hidden, TensorSplit.KvHeads),
                Matrix(Output, hidden, queries, TensorSplit.Input),
                Vector(MlpNorm, hidden),
                Matrix(Gate, config.Intermediate, hidden, TensorSplit.Output),
                Matrix(Up, config.Intermediate, hidden, TensorSplit.Output),
                Matrix(Down, hidden, config.Intermediate, TensorSplit.Input),
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
            Stacked: [[.. Projections.Select(name => name + ".weight")], .. AttentionStacks]);
    }

    public override Func<Tensor> Front(StageParts parts) =>
        new VocabularyEmbedding(parts.Stage, parts.Weights.Matrix(Embedding)).Apply;

    public override ILayer Layer(StageParts parts, int layer)
    {
        var (stage, config, weights, _) = parts;
        var attention = new PagedAttention(
            stage,
            layer,
            new ColumnLinear(
                weights.Matrix([.. Projections.Select(name => name + ".weight")], layer),
                QueryKeyValueBias(weights, layer)),
            new RowLinear(stage, weights.Matrix(Output, layer)),
            Options(parts, layer));
        var mlp = new GatedMlp(
            stage,
            new ColumnLinear(weights.Matrix(Gate, layer)),
            new ColumnLinear(weights.Matrix(Up, layer)),
            new RowLinear(stage, weights.Matrix(Down, layer)));
        return new PreNormLayer(
            new RmsNorm(stage, weights.Vector(AttentionNorm, layer), config.NormEpsilon), attention,
            new RmsNorm(stage, weights.Vector(MlpNorm, layer), config.NormEpsilon), mlp);
    }

    public override OutputHead Back(StageParts parts) => new(
        parts.Stage,
        new RmsNorm(parts.Stage, parts.Weights.Vector(FinalNorm), parts.Config.NormEpsilon),
        new ColumnLinear(parts.Weights.Matrix(HeadName(parts.Config))));

    /// <summary>Tensors of a layer's attention beyond LLaMA's.</summary>
    protected virtual IEnumerable<TensorSpec> AttentionExtras(ModelConfig config) => [];

    /// <summary>Which of these lie one below the other.</summary>
    protected virtual IEnumerable<ImmutableArray<string>> AttentionStacks => [];

    protected virtual Tensor? QueryKeyValueBias(StageWeights weights, int layer) => null;

    protected virtual AttentionOptions Options(StageParts parts, int layer) =>
        new(parts.Rotary, parts.Config.SlidingWindow ?? 0);

    private static string HeadName(ModelConfig config) => config.TiedEmbeddings ? Embedding : Head;

    private static void Refuse(ModelConfig config, params ReadOnlySpan<string> flags)
    {
        foreach (var flag in flags)
        {
            if (config.Raw.TryGetProperty(flag, out var value) && value.ValueKind == JsonValueKind.True)
                throw new ModelFormatException($"config.json: {flag} = true is not supported for {config.Name}.");
        }
    }
}
