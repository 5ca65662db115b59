using System.Collections.Immutable;
using SpotServe.Node.Weights;

namespace SpotServe.Node.Engine.Families;

/// <summary>Phi-3 and Phi-4-mini: LLaMA whose checkpoints have queries, keys and values in one matrix, gate and up in
/// another, and which may turn a part of each head only.</summary>
[ModelType("phi3")]
internal sealed class Phi3 : Llama
{
    public override ConfigRules Rules { get; } = new()
    {
        Keys = ["intermediate_size"],
        // Of the models' own code, which the reference does not read.
        Only =
        [
            ("attention_bias", "false"), ("mlp_bias", "false"), ("lm_head_bias", "false"), ("interpolate_factor", "1"),
            ("full_attn_mod", "1"),
        ],
        NormEpsilon = ("rms_norm_eps", 1e-5),
        Windows = WindowRule.All,
        Rotary = new RotaryRules(Fraction: "partial_rotary_factor", IsLongOnly: true),
    };

    public override FamilyTensors Tensors(ModelConfig config)
    {
        long queries = config.Heads * config.HeadSize, keys = config.KvHeads * config.HeadSize;
        ImmutableArray<long> attention = [queries + (2 * keys), config.Hidden];
        ImmutableArray<long> mlp = [2 * config.Intermediate, config.Hidden];
        const string Fused = LayerPrefix + "self_attn.qkv_proj.weight";
        const string GateUp = LayerPrefix + "mlp.gate_up_proj.weight";
        return base.Tensors(config) with
        {
            Stored = ImmutableDictionary<string, StoredPart>.Empty
                .Add(Query + ".weight", new StoredPart(Fused, attention))
                .Add(Key + ".weight", new StoredPart(Fused, attention, FirstRow: queries))
                .Add(Value + ".weight", new StoredPart(Fused, attention, FirstRow: queries + keys))
                .Add(Gate + ".weight", new StoredPart(GateUp, mlp))
                .Add(Up + ".weight", new StoredPart(GateUp, mlp, FirstRow: config.Intermediate)),
        };
    }
}
