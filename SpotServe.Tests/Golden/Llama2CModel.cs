using System.Runtime.InteropServices;
using System.Text.Json;

namespace SpotServe.Tests.Golden;

/// <summary>Turns a model of llama2.c's format (version 0) into a Hugging Face folder.</summary>
internal static class Llama2CModel
{
    private readonly record struct Shape(
        int Hidden, int Intermediate, int Layers, int Heads, int KvHeads, int Vocabulary, int Context)
    {
        public int HeadSize => Hidden / Heads;

        public int KvWidth => KvHeads * HeadSize;
    }

    public static string Convert(string file)
    {
        var bytes = File.ReadAllBytes(file);
        var header = MemoryMarshal.Cast<byte, int>(bytes.AsSpan(0, 28));
        var shape = new Shape(header[0], header[1], header[2], header[3], header[4], Math.Abs(header[5]), header[6]);
        var folder = TemporaryFolders.Create();
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            model_type = "llama",
            hidden_size = shape.Hidden,
            intermediate_size = shape.Intermediate,
            num_hidden_layers = shape.Layers,
            num_attention_heads = shape.Heads,
            num_key_value_heads = shape.KvHeads,
            vocab_size = shape.Vocabulary,
            max_position_embeddings = shape.Context,
            rms_norm_eps = 1e-5,
            tie_word_embeddings = header[5] > 0,
        }));
        SafetensorsWriter.Write(
            Path.Combine(folder, "model.safetensors"), Read(bytes.AsMemory(28), shape, tied: header[5] > 0));
        return folder;
    }

    /// <summary>The file holds each kind of tensor for all layers, one kind after the other.</summary>
    private static IEnumerable<(string, long[], float[])> Read(Memory<byte> data, Shape s, bool tied)
    {
        var at = 0;
        yield return ("model.embed_tokens.weight", [s.Vocabulary, s.Hidden], Take(s.Vocabulary, s.Hidden));
        (string Name, int Rows, int Columns, int RotaryHeads)[] kinds =
        [
            ("input_layernorm", s.Hidden, 0, 0),
            ("self_attn.q_proj", s.Hidden, s.Hidden, s.Heads),
            ("self_attn.k_proj", s.KvWidth, s.Hidden, s.KvHeads),
            ("self_attn.v_proj", s.KvWidth, s.Hidden, 0),
            ("self_attn.o_proj", s.Hidden, s.Hidden, 0),
            ("post_attention_layernorm", s.Hidden, 0, 0),
            ("mlp.gate_proj", s.Intermediate, s.Hidden, 0),
            ("mlp.down_proj", s.Hidden, s.Intermediate, 0),
            ("mlp.up_proj", s.Intermediate, s.Hidden, 0),
        ];
        foreach (var (name, rows, columns, heads) in kinds)
        {
            for (var layer = 0; layer < s.Layers; layer++)
            {
                var values = Take(rows, Math.Max(1, columns));
                yield return (
                    $"model.layers.{layer}.{name}.weight",
                    columns == 0 ? [rows] : [rows, columns],
                    heads == 0 ? values : ToHalves(values, heads, columns));
            }
        }

        yield return ("model.norm.weight", [s.Hidden], Take(1, s.Hidden));
        Take(s.Context, s.HeadSize); // cosines and sines
        if (!tied) yield return ("lm_head.weight", [s.Vocabulary, s.Hidden], Take(s.Vocabulary, s.Hidden));

        float[] Take(int rows, int columns)
        {
            var bytes = rows * columns * sizeof(float);
            var values = MemoryMarshal.Cast<byte, float>(data.Span.Slice(at, bytes)).ToArray();
            at += bytes;
            return values;
        }
    }

    /// <summary>llama2.c turns neighbouring elements of a head, Hugging Face element i with i + half.</summary>
    private static float[] ToHalves(float[] matrix, int heads, int columns)
    {
        var rows = matrix.Length / columns / heads;
        var result = new float[matrix.Length];
        for (var head = 0; head < heads; head++)
        {
            for (var row = 0; row < rows; row++)
            {
                var from = row < rows / 2 ? 2 * row : (2 * (row - (rows / 2))) + 1;
                matrix.AsSpan(((head * rows) + from) * columns, columns)
                    .CopyTo(result.AsSpan(((head * rows) + row) * columns));
            }
        }

        return result;
    }
}
