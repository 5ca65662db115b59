using System.Text.Json;
using System.Text.Json.Nodes;

namespace SpotServe.Tests.Golden;

/// <summary>A small model of a family, in a folder of its own: its configuration with changes, and the tensors that a
/// checkpoint of that family has, filled by <see cref="GoldenModel"/>'s formula.</summary>
internal sealed class MadeFamily
{
    private const float MatrixScale = 0.2f;
    private const int Hidden = 32, Heads = 4, Layers = 4, Vocabulary = 96, Inner = 48;

    private readonly Dictionary<string, double[]> _tensors = [];
    private readonly JsonObject _config;

    /// <param name="changes">Keys of config.json, or keys to take out (null).</param>
    public MadeFamily(string type, params (string Key, string Json)[] changes)
    {
        _config = (JsonObject)JsonNode.Parse($$"""
            {
              "model_type": "{{type}}", "hidden_size": {{Hidden}}, "num_attention_heads": {{Heads}},
              "num_hidden_layers": {{Layers}}, "vocab_size": {{Vocabulary}}, "max_position_embeddings": 128
            }
            """)!;
        foreach (var (key, json) in Basics(type).Concat(changes)) _config[key] = JsonNode.Parse(json);
        Folder = TemporaryFolders.Create();
        File.WriteAllText(Path.Combine(Folder, "config.json"), _config.ToJsonString());
        var shapes = Tensors(type).ToArray();
        SafetensorsWriter.Write(
            Path.Combine(Folder, "model.safetensors"),
            shapes.Select(tensor => (tensor.Name, tensor.Shape, Fill(tensor.Name, tensor.Shape))));
    }

    public string Folder { get; }

    public ReferenceModel Reference => new(JsonDocument.Parse(_config.ToJsonString()).RootElement, _tensors);

    private float[] Fill(string name, long[] shape)
    {
        var values = GoldenModel.Weights(name, shape, MatrixScale);
        _tensors[name] = [.. values.Select(value => (double)value)];
        return values;
    }

    private static IEnumerable<(string, string)> Basics(string type) => type switch
    {
        "opt" => [("ffn_dim", $"{Inner}")],
        "gpt_neox" => [("intermediate_size", $"{Inner}"), ("rotary_pct", "0.5")],
        _ => [("intermediate_size", $"{Inner}"), ("num_key_value_heads", "2"), ("rms_norm_eps", "1e-5")],
    };

    private IEnumerable<(string Name, long[] Shape)> Tensors(string type)
    {
        var tensors = type switch
        {
            "opt" => Opt(),
            "gpt_neox" => GptNeoX(),
            _ => Llama(type),
        };
        return tensors.Select(tensor => (tensor.Name, tensor.Shape.Select(n => (long)n).ToArray()));
    }

    private IEnumerable<(string Name, int[] Shape)> Llama(string type)
    {
        var size = _config["head_dim"]?.GetValue<int>() ?? Hidden / Heads;
        int queries = Heads * size, keys = _config["num_key_value_heads"]!.GetValue<int>() * size;
        yield return ("model.embed_tokens.weight", [Vocabulary, Hidden]);
        yield return ("model.norm.weight", [Hidden]);
        var isTied = _config["tie_word_embeddings"]?.GetValue<bool>() ?? type == "gemma2";
        if (!isTied) yield return ("lm_head.weight", [Vocabulary, Hidden]);
        for (var layer = 0; layer < Layers; layer++)
        {
            var name = $"model.layers.{layer}.";
            if (type == "phi3")
            {
                yield return (name + "self_attn.qkv_proj.weight", [queries + (2 * keys), Hidden]);
                yield return (name + "mlp.gate_up_proj.weight", [2 * Inner, Hidden]);
            }
            else
            {
                yield return (name + "self_attn.q_proj.weight", [queries, Hidden]);
                yield return (name + "self_attn.k_proj.weight", [keys, Hidden]);
                yield return (name + "self_attn.v_proj.weight", [keys, Hidden]);
                yield return (name + "mlp.gate_proj.weight", [Inner, Hidden]);
                yield return (name + "mlp.up_proj.weight", [Inner, Hidden]);
            }

            yield return (name + "self_attn.o_proj.weight", [Hidden, queries]);
            yield return (name + "mlp.down_proj.weight", [Hidden, Inner]);
            yield return (name + "post_attention_layernorm.weight", [Hidden]);
            if (type != "olmo2") yield return (name + "input_layernorm.weight", [Hidden]);
            if (type is "olmo2" or "gemma2") yield return (name + "post_feedforward_layernorm.weight", [Hidden]);
            if (type == "gemma2") yield return (name + "pre_feedforward_layernorm.weight", [Hidden]);
            if (type == "olmo2") yield return (name + "self_attn.q_norm.weight", [queries]);
            if (type == "olmo2") yield return (name + "self_attn.k_norm.weight", [keys]);
            if (Flag("attention_bias") || type == "qwen2")
            {
                yield return (name + "self_attn.q_proj.bias", [queries]);
                yield return (name + "self_attn.k_proj.bias", [keys]);
                yield return (name + "self_attn.v_proj.bias", [keys]);
            }

            if (Flag("attention_bias")) yield return (name + "self_attn.o_proj.bias", [Hidden]);
            if (!Flag("mlp_bias")) continue;
            yield return (name + "mlp.gate_proj.bias", [Inner]);
            yield return (name + "mlp.up_proj.bias", [Inner]);
            yield return (name + "mlp.down_proj.bias", [Hidden]);
        }
    }

    private IEnumerable<(string Name, int[] Shape)> GptNeoX()
    {
        yield return ("gpt_neox.embed_in.weight", [Vocabulary, Hidden]);
        yield return ("embed_out.weight", [Vocabulary, Hidden]);
        foreach (var tensor in Norm("gpt_neox.final_layer_norm")) yield return tensor;
        for (var layer = 0; layer < Layers; layer++)
        {
            var name = $"gpt_neox.layers.{layer}.";
            (string, int, int)[] products =
            [
                ("attention.query_key_value", 3 * Hidden, Hidden), ("attention.dense", Hidden, Hidden),
                ("mlp.dense_h_to_4h", Inner, Hidden), ("mlp.dense_4h_to_h", Hidden, Inner),
            ];
            foreach (var (product, outputs, inputs) in products)
            {
                yield return (name + product + ".weight", [outputs, inputs]);
                if (product.StartsWith("mlp", StringComparison.Ordinal) || Flag("attention_bias", true))
                    yield return (name + product + ".bias", [outputs]);
            }

            foreach (var tensor in Norm(name + "input_layernorm").Concat(Norm(name + "post_attention_layernorm")))
                yield return tensor;
        }
    }

    private IEnumerable<(string Name, int[] Shape)> Opt()
    {
        const string Root = "model.decoder.";
        var width = _config["word_embed_proj_dim"]?.GetValue<int>() ?? Hidden;
        yield return (Root + "embed_tokens.weight", [Vocabulary, width]);
        yield return (Root + "embed_positions.weight", [130, Hidden]);
        if (width != Hidden)
        {
            yield return (Root + "project_in.weight", [Hidden, width]);
            yield return (Root + "project_out.weight", [width, Hidden]);
        }

        if (Flag("do_layer_norm_before", true))
        {
            foreach (var tensor in Norm(Root + "final_layer_norm")) yield return tensor;
        }

        for (var layer = 0; layer < Layers; layer++)
        {
            var name = $"{Root}layers.{layer}.";
            (string, int, int)[] products =
            [
                ("self_attn.q_proj", Hidden, Hidden), ("self_attn.k_proj", Hidden, Hidden),
                ("self_attn.v_proj", Hidden, Hidden), ("self_attn.out_proj", Hidden, Hidden), ("fc1", Inner, Hidden),
                ("fc2", Hidden, Inner),
            ];
            foreach (var (product, outputs, inputs) in products)
            {
                yield return (name + product + ".weight", [outputs, inputs]);
                if (Flag("enable_bias", true)) yield return (name + product + ".bias", [outputs]);
            }

            foreach (var tensor in Norm(name + "self_attn_layer_norm").Concat(Norm(name + "final_layer_norm")))
                yield return tensor;
        }
    }

    private static IEnumerable<(string Name, int[] Shape)> Norm(string name) =>
        [(name + ".weight", [Hidden]), (name + ".bias", [Hidden])];

    private bool Flag(string key, bool standard = false) => _config[key]?.GetValue<bool>() ?? standard;
}
