using System.Collections.Immutable;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>OPT in all its variants: learned positions, layer norms before a part or behind it (350m), embeddings of
/// the hidden size or projected to it (350m), with or without biases and norm weights (Galactica).</summary>
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
    private const string ProjectIn = Root + "project_in.weight";
    private const string ProjectOut = Root + "project_out.weight";
    private const string Positions = Root + "embed_positions.weight";
    private const string Head = "lm_head.weight";

    private static readonly string[] Projections =
        [LayerPrefix + "self_attn.q_proj", LayerPrefix + "self_attn.k_proj", LayerPrefix + "self_attn.v_proj"];

    private static readonly string[] Matrices = [.. Projections.Select(name => name + ".weight")];
    private static readonly string[] Biases = [.. Projections.Select(name => name + ".bias")];

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["ffn_dim"],
        Flags =
        [
            "do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine", "_remove_final_layer_norm",
        ],
        Numbers = ["word_embed_proj_dim"],
        Unread = ["output_projection"],
        // The reference's norms have an epsilon of their own, which no key changes.
        NormEpsilon = (null, 1e-5),
        Activation = ("activation_function", "relu"),
        TiedEmbeddings = true,
        HasKvHeads = false,
        HasHeadSize = false,
        Rotary = null,
    };

    public override int RotaryWidth(ModelConfig config) => 0;

    public override FamilyTensors Tensors(ModelConfig config)
    {
        int hidden = config.Hidden, inner = config.Intermediate, width = EmbeddingWidth(config);
        var hasBias = HasBias(config);
        return new FamilyTensors(
            Front:
            [
                Matrix(Embedding, config.Vocabulary, width, TensorSplit.Vocabulary),
                Matrix(Positions, config.Positions + PositionOffset, hidden, TensorSplit.Replicated),
                .. width == hidden ? [] : (TensorSpec[])[Matrix(ProjectIn, hidden, width, TensorSplit.Replicated)],
            ],
            Layer:
            [
                .. Matrices.Select(name => Matrix(name, hidden, hidden, TensorSplit.Output)),
                .. hasBias ? Biases.Select(name => Vector(name, hidden, TensorSplit.Output)) : [],
                Matrix(Output + ".weight", hidden, hidden, TensorSplit.Input),
                .. Bias(Output, hidden),
                .. Norm(config, AttentionNorm),
                Matrix(Up + ".weight", inner, hidden, TensorSplit.Output),
                .. Bias(Up, inner, TensorSplit.Output),
                Matrix(Down + ".weight", hidden, inner, TensorSplit.Input),
                .. Bias(Down, hidden),
                .. Norm(config, MlpNorm),
            ],
            Back:
            [
                .. HasFinalNorm(config) ? Norm(config, FinalNorm) : [],
                .. width == hidden ? [] : (TensorSpec[])[Matrix(ProjectOut, width, hidden, TensorSplit.Replicated)],
                Matrix(HeadName(config), config.Vocabulary, width, TensorSplit.Vocabulary),
            ],
            Aliases: config.TiedEmbeddings
                ? ImmutableDictionary<string, string>.Empty.Add(Embedding, Head)
                : ImmutableDictionary<string, string>.Empty,
            Stacked: hasBias ? [[.. Matrices], [.. Biases]] : [[.. Matrices]],
            BasePrefix: "model.");

        TensorSpec[] Bias(string name, int size, TensorSplit split = TensorSplit.Replicated) =>
            hasBias ? [Vector(name + ".bias", size, split)] : [];
    }

    public override Func<Tensor> Front(StageParts parts)
    {
        var embedding = new VocabularyEmbedding(parts.Stage, parts.Weights.Matrix(Embedding));
        var positions = parts.Weights.Matrix(Positions);
        var project = EmbeddingWidth(parts.Config) == parts.Config.Hidden ? null : parts.Weights.Matrix(ProjectIn);
        return () => Projected(embedding.Apply()).AddInPlace(
            positions.index_select(0, parts.Stage.Batch.Positions.Plus(PositionOffset)).to(ScalarType.Float32));

        Tensor Projected(Tensor embedded) => project is null
            ? embedded
            : nn.functional.linear(embedded.to(parts.Stage.WeightType), project).to(ScalarType.Float32);
    }

    public override ILayer Layer(StageParts parts, int layer)
    {
        var (stage, config, weights, _) = parts;
        var hasBias = HasBias(config);
        var attention = new PagedAttention(
            stage,
            layer,
            new ColumnLinear(stage, weights.Matrix(Matrices, layer), hasBias ? weights.Bias(Biases, layer) : null),
            Row(parts, Output, layer),
            new AttentionOptions());
        var mlp = new PlainMlp(
            new ColumnLinear(
                parts.Stage,
                weights.Matrix(Up + ".weight", layer), hasBias ? weights.Bias([Up + ".bias"], layer) : null),
            Activations.Of(config.Activation),
            Row(parts, Down, layer));
        var (first, second) = (Norm(parts, AttentionNorm, layer), Norm(parts, MlpNorm, layer));
        return IsNormedBefore(config)
            ? new PreNormLayer(first, attention, second, mlp)
            : new PostNormLayer(stage, first, attention, second, mlp);
    }

    public override OutputHead Back(StageParts parts)
    {
        INormalization norm = HasFinalNorm(parts.Config) ? Norm(parts, FinalNorm, 0) : new NoNorm(parts.Stage);
        if (EmbeddingWidth(parts.Config) != parts.Config.Hidden)
            norm = new ProjectedNorm(norm, parts.Weights.Matrix(ProjectOut));
        return new OutputHead(
            parts.Stage, norm, new ColumnLinear(parts.Stage, parts.Weights.Matrix(HeadName(parts.Config))));
    }

    private static RowLinear Row(StageParts parts, string name, int layer) => new(
        parts.Stage, parts.Weights.Matrix(name + ".weight", layer),
        HasBias(parts.Config) ? parts.Weights.VectorOnFirstRank(name + ".bias", layer) : null);

    private static LayerNorm Norm(StageParts parts, string name, int layer)
    {
        var hasWeight = HasNormWeight(parts.Config);
        return new LayerNorm(
            parts.Stage,
            hasWeight ? parts.Weights.Vector(name + ".weight", layer) : null,
            hasWeight ? parts.Weights.Vector(name + ".bias", layer) : null,
            parts.Config.NormEpsilon);
    }

    private static TensorSpec[] Norm(ModelConfig config, string name) => HasNormWeight(config)
        ? [Vector(name + ".weight", config.Hidden), Vector(name + ".bias", config.Hidden)] : [];

    private static string HeadName(ModelConfig config) => config.TiedEmbeddings ? Embedding : Head;

    private static bool HasBias(ModelConfig config) => config.Flag("enable_bias", true);

    private static bool HasNormWeight(ModelConfig config) => config.Flag("layer_norm_elementwise_affine", true);

    private static bool IsNormedBefore(ModelConfig config) => config.Flag("do_layer_norm_before", true);

    private static bool HasFinalNorm(ModelConfig config) =>
        IsNormedBefore(config) && !config.Flag("_remove_final_layer_norm");

    private static int EmbeddingWidth(ModelConfig config) =>
        (int)(config.Number("word_embed_proj_dim") ?? config.Hidden);
}
