using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Blocks;
using SpotServe.Node.Weights;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine.Families;

/// <summary>Qwen 2: LLaMA with biases on queries, keys and values.</summary>
[ModelType("qwen2")]
internal sealed class Qwen2 : Llama
{
    private static readonly string[] Biases = [.. Projections.Select(name => name + ".bias")];

    protected override IEnumerable<TensorSpec> AttentionExtras(ModelConfig config) =>
    [
        Vector(Biases[0], config.Heads * config.HeadSize, TensorSplit.Output),
        Vector(Biases[1], config.KvHeads * config.HeadSize, TensorSplit.KvHeads),
        Vector(Biases[2], config.KvHeads * config.HeadSize, TensorSplit.KvHeads),
    ];

    protected override IEnumerable<ImmutableArray<string>> AttentionStacks => [[.. Biases]];

    protected override Tensor? QueryKeyValueBias(StageWeights weights, int layer) => weights.Bias(Biases, layer);
}

/// <summary>Qwen 3: LLaMA with a norm over each query and key head.</summary>
[ModelType("qwen3")]
internal sealed class Qwen3 : Llama
{
    private const string QueryNorm = LayerPrefix + "self_attn.q_norm.weight";
    private const string KeyNorm = LayerPrefix + "self_attn.k_norm.weight";

    protected override IEnumerable<TensorSpec> AttentionExtras(ModelConfig config) =>
        [Vector(QueryNorm, config.HeadSize), Vector(KeyNorm, config.HeadSize)];

    protected override AttentionOptions Options(StageParts parts, int layer) => base.Options(parts, layer) with
    {
        QueryNorm = Norm(parts, QueryNorm, layer),
        KeyNorm = Norm(parts, KeyNorm, layer),
    };

    private static RmsNorm Norm(StageParts parts, string name, int layer) =>
        new(parts.Stage, parts.Weights.Vector(name, layer), parts.Config.NormEpsilon);
}
