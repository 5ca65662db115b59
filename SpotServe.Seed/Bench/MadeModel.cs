using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace SpotServe.Seed.Bench;

/// <summary>
/// Writes a Hugging Face folder of a LLaMA shape with made bfloat16 weights, for measurements of size.
/// </summary>
internal static class MadeModel
{
    private const int Vocabulary = 32_000;

    /// <summary>Tokens that the bundled tokenizer can show: no other is ever the likeliest.</summary>
    private const int Shown = 2048;

    /// <summary>1.1 billion weights, 2.2 GB: 22 layers, hidden 2048, 32 heads, 4 kv heads.</summary>
    /// <returns>Bytes of the weights.</returns>
    public static long WriteOneBillion(string folder) =>
        Write(folder, hidden: 2048, layers: 22, heads: 32, kvHeads: 4, intermediate: 5632);

    /// <summary>The shape that the node's bench verb calls 160m: 134 million weights, 268 MB.</summary>
    /// <returns>Bytes of the weights.</returns>
    public static long WriteSmall(string folder) =>
        Write(folder, hidden: 768, layers: 12, heads: 12, kvHeads: 12, intermediate: 2048);

    private static long Write(string folder, int hidden, int layers, int heads, int kvHeads, int intermediate)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            architectures = (List<string>)["LlamaForCausalLM"],
            model_type = "llama",
            hidden_size = hidden,
            intermediate_size = intermediate,
            num_hidden_layers = layers,
            num_attention_heads = heads,
            num_key_value_heads = kvHeads,
            vocab_size = Vocabulary,
            max_position_embeddings = 2048,
            rms_norm_eps = 1e-5,
            rope_theta = 10_000.0,
            hidden_act = "silu",
            tie_word_embeddings = false,
            bos_token_id = 1,
            eos_token_id = 0,
            torch_dtype = "bfloat16",
        }));
        File.Copy(
            Path.Combine(AppContext.BaseDirectory, "models", "tinystories-4m", "tokenizer.json"),
            Path.Combine(folder, "tokenizer.json"), overwrite: true);
        var tensors = Tensors(hidden, layers, hidden / heads * kvHeads, intermediate).ToArray();
        var header = new Dictionary<string, object>();
        var end = 0L;
        foreach (var (name, shape) in tensors)
        {
            var first = end;
            end += 2 * shape.Aggregate(1L, (product, n) => product * n);
            header.Add(name, new { dtype = "BF16", shape, data_offsets = new[] { first, end } });
        }

        using var file = new FileStream(
            Path.Combine(folder, "model.safetensors"), FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        var text = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(header));
        file.Write(BitConverter.GetBytes((ulong)text.Length));
        file.Write(text);
        foreach (var (name, shape) in tensors)
        {
            WriteValues(file, shape, name == "lm_head.weight" ? Shown * (long)hidden : end);
        }

        return end;
    }

    private static IEnumerable<(string Name, long[] Shape)> Tensors(int hidden, int layers, int kv, int intermediate)
    {
        yield return ("model.embed_tokens.weight", [Vocabulary, hidden]);
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            yield return (prefix + "input_layernorm.weight", [hidden]);
            yield return (prefix + "self_attn.q_proj.weight", [hidden, hidden]);
            yield return (prefix + "self_attn.k_proj.weight", [kv, hidden]);
            yield return (prefix + "self_attn.v_proj.weight", [kv, hidden]);
            yield return (prefix + "self_attn.o_proj.weight", [hidden, hidden]);
            yield return (prefix + "post_attention_layernorm.weight", [hidden]);
            yield return (prefix + "mlp.gate_proj.weight", [intermediate, hidden]);
            yield return (prefix + "mlp.up_proj.weight", [intermediate, hidden]);
            yield return (prefix + "mlp.down_proj.weight", [hidden, intermediate]);
        }

        yield return ("model.norm.weight", [hidden]);
        yield return ("lm_head.weight", [Vocabulary, hidden]);
    }

    /// <summary>
    /// Norms are 1; matrices have sign and low mantissa bits from a generator, and magnitude 1/64 to 1/32.
    /// </summary>
    /// <param name="madeMax">Values after so many are zero.</param>
    private static void WriteValues(FileStream file, long[] shape, long madeMax)
    {
        const ushort One = 0x3F80;
        const ushort Small = 0x3C80;
        var count = shape.Aggregate(1L, (product, n) => product * n);
        var block = new ushort[Math.Min(count, 1 << 18)];
        var state = 0x9E3779B97F4A7C15UL + (ulong)count;
        for (var written = 0L; written < count; written += block.Length)
        {
            var part = block.AsSpan(0, (int)Math.Min(block.Length, count - written));
            foreach (ref var value in part)
            {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                value = shape.Length == 1 ? One : (ushort)(Small | (ushort)(state & 0x807F));
            }

            if (written >= madeMax) part.Clear();

            file.Write(MemoryMarshal.AsBytes(part));
        }
    }
}
