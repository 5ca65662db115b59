using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>Gemma 2: LLaMA with norms before and after each part, weights of norms counted from one, soft caps on
/// scores and logits, and a window in every second layer.</summary>
[ModelType("gemma2")]
internal sealed class Gemma2 : Llama
{
    private const string BeforeMlp = LayerPrefix + "pre_feedforward_layernorm.weight";
    private const string AfterMlp = LayerPrefix + "post_feedforward_layernorm.weight";

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Flags = ["attention_bias"],
        Numbers = ["query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"],
        Unread = ["hidden_act", "sliding_window_size"],
        Only = [("use_bidirectional_attention", "false")],
        Activation = ("hidden_activation", "gelu_pytorch_tanh"),
        TiedEmbeddings = true,
        KvHeads = 4,
        HeadSize = 256,
        Windows = WindowRule.Alternating,
        Window = 4096,
    };

    public override ILayer Layer(StageParts parts, int layer) => new PreNormLayer(
        Norm(parts, InputNorm, layer),
        Attention(parts, layer, Norm(parts, PostAttentionNorm, layer)),
        Norm(parts, BeforeMlp, layer),
        Mlp(parts, layer, Norm(parts, AfterMlp, layer)));

    protected override IEnumerable<string> LayerNorms => [InputNorm, PostAttentionNorm, BeforeMlp, AfterMlp];

    /// <summary>As the reference has it: a number of the weights' type.</summary>
    protected override double EmbeddingMultiplier(StageParts parts)
    {
        using var root = tensor([(float)Math.Sqrt(parts.Config.Hidden)], ScalarType.Float32);
        using var rounded = root.to(parts.Stage.WeightType);
        using var wide = rounded.to(ScalarType.Float32);
        return TensorMemory.Floats(wide)[0];
    }

    protected override AttentionOptions Options(StageParts parts, int layer) => base.Options(parts, layer) with
    {
        Scale = 1 / Math.Sqrt(parts.Config.Number("query_pre_attn_scalar") ?? 256),
        SoftCap = Cap(parts.Config, "attn_logit_softcapping", 50),
    };

    protected override LogitOptions Logits(ModelConfig config) =>
        new(SoftCap: Cap(config, "final_logit_softcapping", 30));

    protected override INormalization Norm(StageParts parts, string name, int layer) => new RmsNorm(
        parts.Stage, parts.Weights.Vector(name, layer).Plus(1).DetachFromDisposeScope(), parts.Config.NormEpsilon);

    /// <summary>A key that is null asks for no cap.</summary>
    private static double Cap(ModelConfig config, string key, double standard) =>
        config.Raw.TryGetProperty(key, out _) ? config.Number(key) ?? 0 : standard;
}
