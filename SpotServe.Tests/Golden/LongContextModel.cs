using System.Text.Json;
using SpotServe.Tests.EndToEnd;

namespace SpotServe.Tests.Golden;

/// <summary>A LLaMA with a context of 131,072 tokens that is so small that its prompt passes are quick. Most of its
/// tokens have ids that take three bytes in a message; only those of the bundled tokenizer are ever drawn.</summary>
internal static class LongContextModel
{
    public const int Vocabulary = 24_000;

    private const int Shown = 2048;
    private const int Hidden = 16;
    private const int HeadSize = 8;
    private const int Heads = 2;
    private const int KvHeads = 1;
    private const int Intermediate = 16;
    private const int Layers = 2;

    /// <returns>The folder.</returns>
    public static string Write()
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
            max_position_embeddings = 131_072,
            rms_norm_eps = 1e-5,
            rope_theta = 500_000.0,
            tie_word_embeddings = false,
        }));
        File.Copy(
            Path.Combine(SeedProcess.BundledModel, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), Shapes().Select(tensor =>
        {
            var weights = GoldenModel.Weights(tensor.Name, tensor.Shape, 0.5f);
            // A logit of 0 is never the largest of so many.
            if (tensor.Name == "lm_head.weight") weights.AsSpan(Shown * Hidden).Clear();
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
