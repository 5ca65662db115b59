using System.Collections.Immutable;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>GPT-NeoX and Pythia: layer norms, rotary positions on a part of each head, attention and feed-forward side
/// by side or one after the other. Checkpoints have each head's query, key and value together.</summary>
[ModelType("gpt_neox")]
internal sealed class GptNeoX : ModelFamily
{
    private const string Root = "gpt_neox.";
    private const string LayerPrefix = Root + "layers.{0}.";
    private const string Fused = LayerPrefix + "attention.query_key_value";
    private const string Dense = LayerPrefix + "attention.dense";
    private const string Up = LayerPrefix + "mlp.dense_h_to_4h";
    private const string Down = LayerPrefix + "mlp.dense_4h_to_h";
    private const string AttentionNorm = LayerPrefix + "input_layernorm";
    private const string MlpNorm = LayerPrefix + "post_attention_layernorm";
    private const string FinalNorm = Root + "final_layer_norm";
    private const string Embedding = Root + "embed_in.weight";
    private const string Head = "lm_head.weight";

    /// <summary>What checkpoints of transformers 4 and before call the head.</summary>
    private const string OldHead = "embed_out.weight";
    private static readonly string[] Projections = [Fused + ".query", Fused + ".key", Fused + ".value"];
    private static readonly string[] Matrices = [.. Projections.Select(name => name + ".weight")];
    private static readonly string[] Biases = [.. Projections.Select(name => name + ".bias")];

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Flags = ["attention_bias", "use_parallel_residual"],
        NormEpsilon = ("layer_norm_eps", 1e-5),
        Activation = ("hidden_act", "gelu"),
        HasKvHeads = false,
        HasHeadSize = false,
        Rotary = new RotaryRules("rotary_emb_base", "rotary_pct", 0.25),
    };

    public override FamilyTensors Tensors(ModelConfig config)
    {
        int hidden = config.Hidden, inner = config.Intermediate;
        var hasBias = HasBias(config);
        return new FamilyTensors(
            Front: [Matrix(Embedding, config.Vocabulary, hidden, TensorSplit.Vocabulary)],
            Layer:
            [
                .. Norm(AttentionNorm, hidden),
                .. Matrices.Select(name => Matrix(name, hidden, hidden, TensorSplit.Output)),
                .. hasBias ? Biases.Select(name => Vector(name, hidden, TensorSplit.Output)) : [],
                Matrix(Dense + ".weight", hidden, hidden, TensorSplit.Input),
                .. hasBias ? [Vector(Dense + ".bias", hidden)] : (TensorSpec[])[],
                .. Norm(MlpNorm, hidden),
                Matrix(Up + ".weight", inner, hidden, TensorSplit.Output),
                Vector(Up + ".bias", inner, TensorSplit.Output),
                Matrix(Down + ".weight", hidden, inner, TensorSplit.Input),
                Vector(Down + ".bias", hidden),
            ],
            Back:
            [
                .. Norm(FinalNorm, hidden),
                Matrix(HeadName(config), config.Vocabulary, hidden, TensorSplit.Vocabulary),
            ],
            Aliases: ImmutableDictionary<string, string>.Empty
                .Add(config.TiedEmbeddings ? Embedding : Head, OldHead),
            Stacked: hasBias ? [[.. Matrices], [.. Biases]] : [[.. Matrices]],
            BasePrefix: Root,
            Stored: StoredParts(config, hasBias));
    }

    public override Func<Tensor> Front(StageParts parts) =>
        new VocabularyEmbedding(parts.Stage, parts.Weights.Matrix(Embedding)).Apply;

    public override ILayer Layer(StageParts parts, int layer)
    {
        var (stage, config, weights, _) = parts;
        var hasBias = HasBias(config);
        var attention = new PagedAttention(
            stage,
            layer,
            new ColumnLinear(
                parts.Stage, weights.Matrix(Matrices, layer), hasBias ? weights.Bias(Biases, layer) : null),
            Row(parts, Dense, layer, hasBias),
            new AttentionOptions(parts.Rotary));
        var mlp = new PlainMlp(
            new ColumnLinear(parts.Stage, weights.Matrix(Up + ".weight", layer), weights.Bias([Up + ".bias"], layer)),
            Activations.Of(config.Activation),
            Row(parts, Down, layer, hasBias: true));
        var (first, second) = (Norm(parts, AttentionNorm, layer), Norm(parts, MlpNorm, layer));
        return config.Flag("use_parallel_residual", true)
            ? new ParallelLayer(first, attention, second, mlp)
            : new PreNormLayer(first, attention, second, mlp);
    }

    public override OutputHead Back(StageParts parts) => new(
        parts.Stage, Norm(parts, FinalNorm, 0),
        new ColumnLinear(parts.Stage, parts.Weights.Matrix(HeadName(parts.Config))));

    /// <summary>Rows of a head's query, key and value follow each other, then the next head's.</summary>
    private static ImmutableDictionary<string, StoredPart> StoredParts(ModelConfig config, bool hasBias)
    {
        var stored = ImmutableDictionary.CreateBuilder<string, StoredPart>();
        for (var i = 0; i < Projections.Length; i++)
        {
            stored.Add(Matrices[i], new StoredPart(
                Fused + ".weight", [3 * config.Hidden, config.Hidden], i * config.HeadSize, config.HeadSize,
                3 * config.HeadSize));
            if (!hasBias) continue;
            stored.Add(Biases[i], new StoredPart(
                Fused + ".bias", [3 * config.Hidden], i * config.HeadSize, config.HeadSize, 3 * config.HeadSize));
        }

        return stored.ToImmutable();
    }

    private static bool HasBias(ModelConfig config) => config.Flag("attention_bias", true);

    private static string HeadName(ModelConfig config) => config.TiedEmbeddings ? Embedding : Head;

    private static RowLinear Row(StageParts parts, string name, int layer, bool hasBias) => new(
        parts.Stage, parts.Weights.Matrix(name + ".weight", layer),
        hasBias ? parts.Weights.VectorOnFirstRank(name + ".bias", layer) : null);

    private static LayerNorm Norm(StageParts parts, string name, int layer) => new(
        parts.Stage, parts.Weights.Vector(name + ".weight", layer), parts.Weights.Vector(name + ".bias", layer),
        parts.Config.NormEpsilon);

    private static TensorSpec[] Norm(string name, int size) =>
        [Vector(name + ".weight", size), Vector(name + ".bias", size)];
}
