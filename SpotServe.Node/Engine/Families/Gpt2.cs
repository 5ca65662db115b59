using System.Collections.Immutable;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>GPT-2: learned positions, layer norms, biases everywhere, tied embeddings. Checkpoints have the layers'
/// matrices the other way round, [input, output], and queries, keys and values in one.</summary>
[ModelType("gpt2")]
internal sealed class Gpt2 : ModelFamily
{
    private const string Root = "transformer.";
    private const string LayerPrefix = Root + "h.{0}.";
    private const string Fused = LayerPrefix + "attn.c_attn";
    private const string Output = LayerPrefix + "attn.c_proj";
    private const string Up = LayerPrefix + "mlp.c_fc";
    private const string Down = LayerPrefix + "mlp.c_proj";
    private const string AttentionNorm = LayerPrefix + "ln_1";
    private const string MlpNorm = LayerPrefix + "ln_2";
    private const string FinalNorm = Root + "ln_f";
    private const string Embedding = Root + "wte.weight";
    private const string Positions = Root + "wpe.weight";
    private const string Head = "lm_head.weight";
    private static readonly string[] Projections = [Fused + ".query", Fused + ".key", Fused + ".value"];
    private static readonly string[] Matrices = [.. Projections.Select(name => name + ".weight")];
    private static readonly string[] Biases = [.. Projections.Select(name => name + ".bias")];

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["n_embd", "n_head", "n_layer", "n_positions", "n_inner"],
        Flags = ["scale_attn_weights", "scale_attn_by_inverse_layer_idx"],
        Only = [("add_cross_attention", "false")],
        NormEpsilon = ("layer_norm_epsilon", 1e-5),
        Activation = ("activation_function", "gelu_new"),
        TiedEmbeddings = true,
        HasKvHeads = false,
        HasHeadSize = false,
        Rotary = null,
    };

    public override int RotaryWidth(ModelConfig config) => 0;

    public override FamilyTensors Tensors(ModelConfig config)
    {
        int hidden = config.Hidden, inner = config.Intermediate;
        return new FamilyTensors(
            Front:
            [
                Matrix(Embedding, config.Vocabulary, hidden, TensorSplit.Vocabulary),
                Matrix(Positions, config.Positions, hidden, TensorSplit.Replicated),
            ],
            Layer:
            [
                .. Norm(AttentionNorm, hidden),
                .. Matrices.Select(name => Matrix(name, hidden, hidden, TensorSplit.Output)),
                .. Biases.Select(name => Vector(name, hidden, TensorSplit.Output)),
                Matrix(Output + ".weight", hidden, hidden, TensorSplit.Input),
                Vector(Output + ".bias", hidden),
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
            Aliases: config.TiedEmbeddings
                ? ImmutableDictionary<string, string>.Empty.Add(Embedding, Head)
                : ImmutableDictionary<string, string>.Empty,
            Stacked: [[.. Matrices], [.. Biases]],
            BasePrefix: Root,
            Stored: StoredParts(hidden, inner));
    }

    public override Func<Tensor> Front(StageParts parts)
    {
        var embedding = new VocabularyEmbedding(parts.Stage, parts.Weights.Matrix(Embedding));
        var positions = parts.Weights.Matrix(Positions);
        return () => embedding.Apply().AddInPlace(
            positions.index_select(0, parts.Stage.Batch.Positions).to(ScalarType.Float32));
    }

    public override ILayer Layer(StageParts parts, int layer)
    {
        var (stage, config, weights, _) = parts;
        var attention = new PagedAttention(
            stage,
            layer,
            new ColumnLinear(parts.Stage, weights.Matrix(Matrices, layer), weights.Bias(Biases, layer)),
            Row(parts, Output, layer),
            new AttentionOptions { Scale = Scale(config, layer) });
        var mlp = new PlainMlp(
            new ColumnLinear(parts.Stage, weights.Matrix(Up + ".weight", layer), weights.Bias([Up + ".bias"], layer)),
            Activations.Of(config.Activation),
            Row(parts, Down, layer));
        return new PreNormLayer(Norm(parts, AttentionNorm, layer), attention, Norm(parts, MlpNorm, layer), mlp);
    }

    public override OutputHead Back(StageParts parts) => new(
        parts.Stage, Norm(parts, FinalNorm, 0),
        new ColumnLinear(parts.Stage, parts.Weights.Matrix(HeadName(parts.Config))));

    private static double Scale(ModelConfig config, int layer)
    {
        var scale = config.Flag("scale_attn_weights", true) ? 1 / Math.Sqrt(config.HeadSize) : 1;
        return config.Flag("scale_attn_by_inverse_layer_idx") ? scale / (layer + 1) : scale;
    }

    private static ImmutableDictionary<string, StoredPart> StoredParts(int hidden, int inner)
    {
        var stored = ImmutableDictionary.CreateBuilder<string, StoredPart>();
        for (var i = 0; i < Projections.Length; i++)
        {
            stored.Add(Matrices[i], new StoredPart(
                Fused + ".weight", [hidden, 3 * hidden], i * hidden, IsTransposed: true));
            stored.Add(Biases[i], new StoredPart(Fused + ".bias", [3 * hidden], i * hidden));
        }

        foreach (var (name, inputs, outputs) in ((string, int, int)[])
            [(Output, hidden, hidden), (Up, hidden, inner), (Down, inner, hidden)])
        {
            stored.Add(name + ".weight", new StoredPart(name + ".weight", [inputs, outputs], IsTransposed: true));
        }

        return stored.ToImmutable();
    }

    private static string HeadName(ModelConfig config) => config.TiedEmbeddings ? Embedding : Head;

    private static RowLinear Row(StageParts parts, string name, int layer) => new(
        parts.Stage, parts.Weights.Matrix(name + ".weight", layer),
        parts.Weights.VectorOnFirstRank(name + ".bias", layer));

    private static LayerNorm Norm(StageParts parts, string name, int layer) => new(
        parts.Stage, parts.Weights.Vector(name + ".weight", layer), parts.Weights.Vector(name + ".bias", layer),
        parts.Config.NormEpsilon);

    private static TensorSpec[] Norm(string name, int size) =>
        [Vector(name + ".weight", size), Vector(name + ".bias", size)];
}
