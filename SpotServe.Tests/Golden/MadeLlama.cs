using System.Text.Json;

namespace SpotServe.Tests.Golden;

/// <summary>A LLaMA of two layers whose weights follow from their names, for tests that want their own shape.</summary>
internal sealed record MadeLlama
{
    public const int HeadSize = 8;
    private const int Layers = 2;

    public required int Vocabulary { get; init; }

    public required int Hidden { get; init; }

    public required int Heads { get; init; }

    public required int KvHeads { get; init; }

    public required int Intermediate { get; init; }

    public int ContextMax { get; init; } = 128;

    public double RotaryBase { get; init; } = 10_000;

    /// <summary>How far from 0 the numbers of a matrix are at most.</summary>
    public float MatrixScale { get; init; } = 0.25f;

    /// <param name="edit">Is given each tensor's name and numbers before they are written.</param>
    /// <returns>The folder, without a tokenizer.</returns>
    public string Write(Action<string, float[]>? edit = null)
    {
        var folder = TemporaryFolders.Create();
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            model_type = "llama",
            hidden_size = Hidden,
            head_dim = HeadSize,
            intermediate_size = Intermediate,
            num_hidden_layers = Layers,
            num_attention_heads = Heads,
            num_key_value_heads = KvHeads,
            vocab_size = Vocabulary,
            max_position_embeddings = ContextMax,
            rms_norm_eps = 1e-5,
            rope_theta = RotaryBase,
            tie_word_embeddings = false,
        }));
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), Shapes().Select(tensor =>
        {
            var weights = GoldenModel.Weights(tensor.Name, tensor.Shape, MatrixScale);
            edit?.Invoke(tensor.Name, weights);
            return (tensor.Name, tensor.Shape, weights);
        }));
        return folder;
    }

    private IEnumerable<(string Name, long[] Shape)> Shapes()
    {
        yield return ("model.embed_tokens.weight", [Vocabulary, Hidden]);
        for (var layer = 0; layer < Layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            yield return (prefix + "input_layernorm.weight", [Hidden]);
            yield return (prefix + "post_attention_layernorm.weight", [Hidden]);
            yield return (prefix + "self_attn.q_proj.weight", [Heads * HeadSize, Hidden]);
            yield return (prefix + "self_attn.k_proj.weight", [KvHeads * HeadSize, Hidden]);
            yield return (prefix + "self_attn.v_proj.weight", [KvHeads * HeadSize, Hidden]);
            yield return (prefix + "self_attn.o_proj.weight", [Hidden, Heads * HeadSize]);
            yield return (prefix + "mlp.gate_proj.weight", [Intermediate, Hidden]);
            yield return (prefix + "mlp.up_proj.weight", [Intermediate, Hidden]);
            yield return (prefix + "mlp.down_proj.weight", [Hidden, Intermediate]);
        }

        yield return ("model.norm.weight", [Hidden]);
        yield return ("lm_head.weight", [Vocabulary, Hidden]);
    }
}
