using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Families;

/// <summary>Qwen 2: LLaMA with biases on queries, keys and values, and windows in some layers.</summary>
[ModelType("qwen2")]
internal sealed class Qwen2 : Llama
{
    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Only = [("use_mrope", "false")],
        KvHeads = 32,
        Windows = WindowRule.Flagged,
        Window = 4096,
    };

    protected override bool HasQueryBias(ModelConfig config) => true;

    protected override bool HasOutputBias(ModelConfig config) => false;
}

/// <summary>Qwen 3: LLaMA with a norm over each query and key head, and windows in some layers.</summary>
[ModelType("qwen3")]
internal sealed class Qwen3 : Llama
{
    private const string QueryNorm = LayerPrefix + "self_attn.q_norm.weight";
    private const string KeyNorm = LayerPrefix + "self_attn.k_norm.weight";

    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Flags = ["attention_bias"],
        KvHeads = 32,
        HeadSize = 128,
        Windows = WindowRule.Flagged,
        Window = 4096,
    };

    protected override IEnumerable<TensorSpec> AttentionExtras(ModelConfig config) =>
        [Vector(QueryNorm, config.HeadSize), Vector(KeyNorm, config.HeadSize)];

    protected override AttentionOptions Options(StageParts parts, int layer) => base.Options(parts, layer) with
    {
        QueryNorm = Norm(parts, QueryNorm, layer),
        KeyNorm = Norm(parts, KeyNorm, layer),
    };
}
