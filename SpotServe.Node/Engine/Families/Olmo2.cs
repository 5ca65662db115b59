using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Families;

/// <summary>OLMo 2: LLaMA with norms of what each part adds instead of what it reads, and norms over all queries and
/// all keys of a token.</summary>
[ModelType("olmo2")]
internal sealed class Olmo2 : Llama
{
    private const string AfterMlp = LayerPrefix + "post_feedforward_layernorm.weight";
    private const string QueryNorm = LayerPrefix + "self_attn.q_norm.weight";
    private const string KeyNorm = LayerPrefix + "self_attn.k_norm.weight";

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Flags = ["attention_bias"],
        NormEpsilon = ("rms_norm_eps", 1e-5),
    };

    public override ILayer Layer(StageParts parts, int layer) => new PreNormLayer(
        new NoNorm(parts.Stage),
        Attention(parts, layer, Norm(parts, PostAttentionNorm, layer)),
        new NoNorm(parts.Stage),
        Mlp(parts, layer, Norm(parts, AfterMlp, layer)));

    protected override IEnumerable<string> LayerNorms => [PostAttentionNorm, AfterMlp];

    protected override IEnumerable<TensorSpec> AttentionExtras(ModelConfig config) =>
    [
        Vector(QueryNorm, config.Heads * config.HeadSize, TensorSplit.Output),
        Vector(KeyNorm, config.KvHeads * config.HeadSize, TensorSplit.KvHeads),
    ];

    protected override AttentionOptions Options(StageParts parts, int layer) => base.Options(parts, layer) with
    {
        WidthNorm = new WidthNorm(
            parts.Stage, parts.Weights.Bias([QueryNorm], layer), parts.Weights.Bias([KeyNorm], layer),
            parts.Config.NormEpsilon),
    };
}
