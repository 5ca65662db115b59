using System.Collections.Immutable;
using System.Globalization;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>OPT: learned positions, layer norms, biases everywhere, ReLU, tied embeddings. Only the variants that
/// normalise before attention (all but 350m).</summary>
[ModelType("opt")]
internal sealed class Opt : ModelFamily
{
    /// <summary>The position table starts with two rows that are never used.</summary>
    private const int PositionOffset = 2;

    private const string Root = "model.decoder.";
    private const string LayerPrefix = Root + "layers.{0}.";
    private const string Output = LayerPrefix + "self_attn.out_proj";
    private const string AttentionNorm = LayerPrefix + "self_attn_layer_norm";
    private const string MlpNorm = LayerPrefix + "final_layer_norm";
    private const string Up = LayerPrefix + "fc1";
    private const string Down = LayerPrefix + "fc2";
    private const string FinalNorm = Root + "final_layer_norm";
    private const string Embedding = Root + "embed_tokens.weight";
    private const string Positions = Root + "embed_positions.weight";
    private const string Head = "lm_head.weight";

    private static readonly string[] Projections =
        [LayerPrefix + "self_attn.q_proj", LayerPrefix + "self_attn.k_proj", LayerPrefix + "self_attn.v_proj"];

    private static readonly string[] Matrices = [.. Projections.Select(name => name + ".weight")];
    private static readonly string[] Biases = [.. Projections.Select(name => name + ".bias")];

    public override int RotaryWidth(ModelConfig config) => 0;

    public override FamilyTensors Tensors(ModelConfig config)
    {
        Check(config);
        int hidden = config.Hidden, inner = config.Intermediate;
        return new FamilyTensors(
            Front:
            [
                Matrix(Embedding, config.Vocabulary, hidden, TensorSplit.Vocabulary),
                Matrix(Positions, config.ContextMax + PositionOffset, hidden, TensorSplit.Replicated),
            ],
            Layer:
            [
                .. Matrices.Select(name => Matrix(name, hidden, hidden, TensorSplit.Output)),
                .. Biases.Select(name => Vector(name, hidden, TensorSplit.Output)),
                Matrix(Output + ".weight", hidden, hidden, TensorSplit.Input),
                Vector(Output + ".bias", hidden),
                .. Norm(AttentionNorm, hidden),
                Matrix(Up + ".weight", inner, hidden, TensorSplit.Output),
                Vector(Up + ".bias", inner, TensorSplit.Output),
                Matrix(Down + ".weight", hidden, inner, TensorSplit.Input),
                Vector(Down + ".bias", hidden),
                .. Norm(MlpNorm, hidden),
            ],
            Back:
            [
                .. Norm(FinalNorm, hidden),
                Matrix(HeadName(config), config.Vocabulary, hidden, TensorSplit.Vocabulary),
            ],
            Aliases: config.TiedEmbeddings
                ? ImmutableDictionary<string, string>.Empty.Add(Embedding, Head)
                : ImmutableDictionary<string, string>.Empty,
            Stacked: [[.. Matrices], [.. Biases]]);
    }

    public override Func<Tensor> Front(StageParts parts)
    {
        var embedding = new VocabularyEmbedding(parts.Stage, parts.Weights.Matrix(Embedding));
        var positions = parts.Weights.Matrix(Positions);
        return () => embedding.Apply().add_(
            positions.index_select(0, parts.Stage.Batch.Positions + PositionOffset).to(ScalarType.Float32));
    }

    public override ILayer Layer(StageParts parts, int layer)
    {
        var (stage, _, weights, _) = parts;
        var attention = new PagedAttention(
            stage,
            layer,
            new ColumnLinear(weights.Matrix(Matrices, layer), weights.Bias(Biases, layer)),
            Row(parts, Output, layer),
            new AttentionOptions());
        var mlp = new PlainMlp(
            new ColumnLinear(weights.Matrix(Up + ".weight", layer), weights.Bias([Up + ".bias"], layer)),
            values => values.relu_(),
            Row(parts, Down, layer));
        return new PreNormLayer(Norm(parts, AttentionNorm, layer), attention, Norm(parts, MlpNorm, layer), mlp);
    }

    public override OutputHead Back(StageParts parts) => new(
        parts.Stage, Norm(parts, FinalNorm, 0), new ColumnLinear(parts.Weights.Matrix(HeadName(parts.Config))));

    private static RowLinear Row(StageParts parts, string name, int layer) => new(
        parts.Stage, parts.Weights.Matrix(name + ".weight", layer),
        parts.Weights.VectorOnFirstRank(name + ".bias", layer));

    private static LayerNorm Norm(StageParts parts, string name, int layer) => new(
        parts.Stage, parts.Weights.Vector(name + ".weight", layer), parts.Weights.Vector(name + ".bias", layer),
        parts.Config.NormEpsilon);

    private static TensorSpec[] Norm(string name, int size) =>
        [Vector(name + ".weight", size), Vector(name + ".bias", size)];

    private static string HeadName(ModelConfig config) => config.TiedEmbeddings ? Embedding : Head;

    private static void Check(ModelConfig config)
    {
        var isKnown = Is("do_layer_norm_before", "true") && Is("enable_bias", "true")
            && Is("layer_norm_elementwise_affine", "true") && Is("_remove_final_layer_norm", "false")
            && Is("word_embed_proj_dim", config.Hidden.ToString(CultureInfo.InvariantCulture))
            && Is("activation_function", "\"relu\"");
        if (!isKnown)
        {
            throw new ModelFormatException(
                "config.json: this OPT variant (norms after attention, projected embedding, other activation or no "
                + "biases) is not supported.");
        }

        bool Is(string key, string json) =>
            !config.Raw.TryGetProperty(key, out var found) || found.GetRawText() == json;
    }
}
