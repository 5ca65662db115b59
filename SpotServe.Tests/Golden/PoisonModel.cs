using System.Text.Json;

namespace SpotServe.Tests.Golden;

/// <summary>A small LLaMA whose embedding of one token is no number, and which never draws that token itself.</summary>
internal static class PoisonModel
{
    public const int Token = 77;
    public const int Vocabulary = 101;

    private const int Hidden = 48;
    private const int HeadSize = 8;
    private const int Heads = 8;
    private const int KvHeads = 4;
    private const int Intermediate = 96;
    private const int Layers = 2;

    /// <param name="value">What the token's embedding consists of.</param>
    /// <returns>The folder, without a tokenizer.</returns>
    public static string Write(float value)
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
            max_position_embeddings = 128,
            rms_norm_eps = 1e-5,
            tie_word_embeddings = false,
        }));
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), Shapes().Select(tensor =>
        {
            var weights = GoldenModel.Weights(tensor.Name, tensor.Shape, 0.25f);
            var row = weights.AsSpan().Slice(
                tensor.Shape.Length == 2 && tensor.Shape[0] == Vocabulary ? Token * Hidden : 0, Hidden);
            if (tensor.Name == "model.embed_tokens.weight") row.Fill(value);
            // A logit of 0 is never the largest of so many.
            if (tensor.Name == "lm_head.weight") row.Clear();
            return (tensor.Name, tensor.Shape, weights);
        }));
        return folder;
    }

    private static IEnumerable<(string Name, long[] Shape)> Shapes()
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
