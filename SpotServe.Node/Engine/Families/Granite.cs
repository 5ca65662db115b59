using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Families;

/// <summary>Granite: LLaMA with multipliers of embeddings, scores, what layers add, and logits.</summary>
[ModelType("granite")]
internal sealed class Granite : Llama
{
    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        Flags = ["attention_bias", "mlp_bias"],
        Numbers = ["embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"],
    };

    protected override double EmbeddingMultiplier(StageParts parts) =>
        parts.Config.Number("embedding_multiplier") ?? 1;

    protected override double ResidualMultiplier(ModelConfig config) => config.Number("residual_multiplier") ?? 1;

    protected override AttentionOptions Options(StageParts parts, int layer) => base.Options(parts, layer) with
    {
        Scale = parts.Config.Number("attention_multiplier") ?? 1,
    };

    protected override LogitOptions Logits(ModelConfig config) => new(Divisor: config.Number("logits_scaling") ?? 1);
}
