using System.Text.Json;

namespace SpotServe.Tests.Golden;

/// <summary>
/// Decoder models written down as their papers and the reference's code have them, in double precision, one token after
/// the other and without any of the engine's code: slow, dense, and easy to check by eye. The engine is compared with
/// it where no values of the reference itself are at hand.
/// </summary>
/// <param name="config">config.json.</param>
/// <param name="tensors">The checkpoint's tensors by name, row-major.</param>
internal sealed class ReferenceModel(JsonElement config, IReadOnlyDictionary<string, double[]> tensors)
{
    private readonly string _type = config.GetProperty("model_type").GetString()!;
    private readonly int _hidden = Int("hidden_size", config);
    private readonly int _layers = Int("num_hidden_layers", config);
    private readonly int _heads = Int("num_attention_heads", config);

    private int KvHeads => (int)Number("num_key_value_heads", _heads);

    private int HeadSize => (int)Number("head_dim", _hidden / _heads);

    /// <summary>Logits of the token that follows.</summary>
    public double[] Logits(int[] tokens)
    {
        var stream = tokens.Select(Embed).ToArray();
        for (var layer = 0; layer < _layers; layer++) stream = Layer(stream, layer);
        var last = stream[^1];
        last = _type switch
        {
            "gpt_neox" => LayerNorm(last, "gpt_neox.final_layer_norm"),
            "opt" => Flag("do_layer_norm_before", true)
                ? LayerNorm(last, "model.decoder.final_layer_norm") : ProjectOut(last),
            _ => Rms(last, "model.norm.weight"),
        };
        var head = _type switch
        {
            "gpt_neox" => "embed_out.weight",
            "opt" => "model.decoder.embed_tokens.weight",
            _ => tensors.ContainsKey("lm_head.weight") ? "lm_head.weight" : "model.embed_tokens.weight",
        };
        var logits = Product(head, last);
        if (_type == "granite") return [.. logits.Select(x => x / Number("logits_scaling", 1))];
        var cap = Number("final_logit_softcapping", 0);
        return cap == 0 ? logits : [.. logits.Select(x => cap * Math.Tanh(x / cap))];
    }

    private double[] Embed(int token, int position)
    {
        if (_type == "opt")
        {
            var width = (int)Number("word_embed_proj_dim", _hidden);
            var embedded = Row("model.decoder.embed_tokens.weight", token, width);
            if (width != _hidden) embedded = Product("model.decoder.project_in.weight", embedded);
            return Sum(embedded, Row("model.decoder.embed_positions.weight", position + 2, _hidden));
        }

        var row = Row(_type == "gpt_neox" ? "gpt_neox.embed_in.weight" : "model.embed_tokens.weight", token, _hidden);
        var multiplier = _type == "gemma2" ? Math.Sqrt(_hidden) : Number("embedding_multiplier", 1);
        return [.. row.Select(x => x * multiplier)];
    }

    private double[] ProjectOut(double[] values) => tensors.ContainsKey("model.decoder.project_out.weight")
        ? Product("model.decoder.project_out.weight", values) : values;

    private double[][] Layer(double[][] x, int layer)
    {
        var name = _type switch
        {
            "gpt_neox" => $"gpt_neox.layers.{layer}.",
            "opt" => $"model.decoder.layers.{layer}.",
            _ => $"model.layers.{layer}.",
        };
        switch (_type)
        {
            case "gpt_neox":
                var attended = Attend([.. x.Select(t => LayerNorm(t, name + "input_layernorm"))], name, layer);
                if (Flag("use_parallel_residual", true))
                {
                    var beside = x.Select(t => Mlp(LayerNorm(t, name + "post_attention_layernorm"), name)).ToArray();
                    return Sum(Sum(x, attended), beside);
                }

                x = Sum(x, attended);
                return Sum(x, [.. x.Select(t => Mlp(LayerNorm(t, name + "post_attention_layernorm"), name))]);
            case "opt" when !Flag("do_layer_norm_before", true):
                x = [.. Sum(x, Attend(x, name, layer)).Select(t => LayerNorm(t, name + "self_attn_layer_norm"))];
                return [.. Sum(x, [.. x.Select(t => Mlp(t, name))])
                    .Select(t => LayerNorm(t, name + "final_layer_norm"))];
            case "opt":
                x = Sum(x, Attend([.. x.Select(t => LayerNorm(t, name + "self_attn_layer_norm"))], name, layer));
                return Sum(x, [.. x.Select(t => Mlp(LayerNorm(t, name + "final_layer_norm"), name))]);
            case "gemma2":
                var inner = Attend([.. x.Select(t => Rms(t, name + "input_layernorm.weight"))], name, layer);
                x = Sum(x, [.. inner.Select(t => Rms(t, name + "post_attention_layernorm.weight"))]);
                return Sum(x, [.. x.Select(t => Rms(
                    Mlp(Rms(t, name + "pre_feedforward_layernorm.weight"), name),
                    name + "post_feedforward_layernorm.weight"))]);
            case "olmo2":
                var added = Attend(x, name, layer).Select(t => Rms(t, name + "post_attention_layernorm.weight"));
                x = Sum(x, [.. added]);
                return Sum(x, [.. x.Select(t => Rms(Mlp(t, name), name + "post_feedforward_layernorm.weight"))]);
            default:
                var by = Number("residual_multiplier", 1);
                var heard = Attend([.. x.Select(t => Rms(t, name + "input_layernorm.weight"))], name, layer);
                x = Sum(x, [.. heard.Select(t => Times(t, by))]);
                return Sum(x, [.. x.Select(t => Times(
                    Mlp(Rms(t, name + "post_attention_layernorm.weight"), name), by))]);
        }
    }

    private double[][] Attend(double[][] x, string name, int layer)
    {
        var size = HeadSize;
        var group = _heads / KvHeads;
        var parts = x.Select((t, position) => Project(t, name, position)).ToArray();
        var scale = _type switch
        {
            "granite" => Number("attention_multiplier", 1),
            "gemma2" => 1 / Math.Sqrt(Number("query_pre_attn_scalar", 256)),
            _ => 1 / Math.Sqrt(size),
        };
        var cap = Number("attn_logit_softcapping", 0);
        var isSliding = _type switch
        {
            "gemma2" => layer % 2 == 0,
            "qwen2" => Flag("use_sliding_window", false) && layer >= Number("max_window_layers", 28),
            _ => true,
        };
        var window = isSliding ? (int)Number("sliding_window", 0) : 0;
        var output = _type switch
        {
            "gpt_neox" => name + "attention.dense",
            "opt" => name + "self_attn.out_proj",
            _ => name + "self_attn.o_proj",
        };
        return [.. parts.Select((own, position) =>
        {
            var mixed = new double[_heads * size];
            for (var head = 0; head < _heads; head++)
            {
                var first = window > 0 ? Math.Max(0, position - window + 1) : 0;
                var scores = Enumerable.Range(first, position - first + 1).Select(other =>
                {
                    var score = 0.0;
                    for (var i = 0; i < size; i++)
                        score += own.Q[(head * size) + i] * parts[other].K[(head / group * size) + i];
                    score *= scale;
                    return cap == 0 ? score : cap * Math.Tanh(score / cap);
                }).ToArray();
                var largest = scores.Max();
                var weights = scores.Select(score => Math.Exp(score - largest)).ToArray();
                var total = weights.Sum();
                for (var k = 0; k < weights.Length; k++)
                {
                    for (var i = 0; i < size; i++)
                    {
                        mixed[(head * size) + i] +=
                            weights[k] / total * parts[first + k].V[(head / group * size) + i];
                    }
                }
            }

            return Linear(output, mixed);
        })];
    }

    private (double[] Q, double[] K, double[] V) Project(double[] x, string name, int position)
    {
        int size = HeadSize, queries = _heads * size, keys = KvHeads * size;
        double[] q, k, v;
        if (_type == "phi3")
        {
            var all = Product(name + "self_attn.qkv_proj.weight", x);
            (q, k, v) = (all[..queries], all[queries..(queries + keys)], all[(queries + keys)..]);
        }
        else if (_type == "gpt_neox")
        {
            var all = Linear(name + "attention.query_key_value", x);
            double[] Third(int which) => [.. Enumerable.Range(0, _heads).SelectMany(head =>
                all.Skip((((head * 3) + which) * size)).Take(size))];
            (q, k, v) = (Third(0), Third(1), Third(2));
        }
        else
        {
            q = Linear(name + "self_attn.q_proj", x);
            k = Linear(name + "self_attn.k_proj", x);
            v = Linear(name + "self_attn.v_proj", x);
        }

        if (_type == "olmo2")
        {
            q = Rms(q, name + "self_attn.q_norm.weight");
            k = Rms(k, name + "self_attn.k_norm.weight");
        }

        return _type == "opt" ? (q, k, v) : (Turn(q, position), Turn(k, position), v);
    }

    private double[] Turn(double[] heads, int position)
    {
        var size = HeadSize;
        var rope = new ReferenceRope(config, size);
        var turned = (double[])heads.Clone();
        for (var head = 0; head < heads.Length / size; head++)
        {
            for (var i = 0; i < rope.Width / 2; i++)
            {
                var angle = position * rope.Frequency(i);
                var (cos, sin) = (Math.Cos(angle) * rope.Amplitude, Math.Sin(angle) * rope.Amplitude);
                int a = (head * size) + i, b = a + (rope.Width / 2);
                turned[a] = (heads[a] * cos) - (heads[b] * sin);
                turned[b] = (heads[b] * cos) + (heads[a] * sin);
            }
        }

        return turned;
    }

    private double[] Mlp(double[] x, string name)
    {
        if (_type is "gpt_neox" or "opt")
        {
            var (up, down) = _type == "opt"
                ? (name + "fc1", name + "fc2") : (name + "mlp.dense_h_to_4h", name + "mlp.dense_4h_to_h");
            return Linear(down, [.. Linear(up, x).Select(Act)]);
        }

        double[] gate, value;
        if (_type == "phi3")
        {
            var both = Product(name + "mlp.gate_up_proj.weight", x);
            (gate, value) = (both[..(both.Length / 2)], both[(both.Length / 2)..]);
        }
        else
        {
            (gate, value) = (Linear(name + "mlp.gate_proj", x), Linear(name + "mlp.up_proj", x));
        }

        return Linear(name + "mlp.down_proj", [.. gate.Select((g, i) => Act(g) * value[i])]);
    }

    private double Act(double x)
    {
        var standard = _type switch { "gpt_neox" => "gelu", "opt" => "relu", _ => "silu" };
        var key = _type switch { "gemma2" => "hidden_activation", "opt" => "activation_function", _ => "hidden_act" };
        var named = config.TryGetProperty(key, out var name) ? name.GetString()! : standard;
        return named switch
        {
            "silu" => x / (1 + Math.Exp(-x)),
            "relu" => Math.Max(0, x),
            "relu2" => Math.Max(0, x) * Math.Max(0, x),
            "quick_gelu" => x / (1 + Math.Exp(-1.702 * x)),
            "gelu" => x * Normal(x),
            "gelu_pytorch_tanh" or "gelu_new" =>
                0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
            _ => throw new ArgumentException(named),
        };
    }

    /// <summary>The normal distribution's integral up to x, by Simpson's rule.</summary>
    private static double Normal(double x)
    {
        const int Steps = 2000;
        var (sum, step) = (0.0, x / Steps);
        for (var i = 0; i <= Steps; i++)
        {
            var weight = i is 0 or Steps ? 1 : i % 2 == 1 ? 4 : 2;
            sum += weight * Math.Exp(-(i * step) * (i * step) / 2);
        }

        return 0.5 + (sum * step / 3 / Math.Sqrt(2 * Math.PI));
    }

    private double[] Rms(double[] x, string weight)
    {
        var scale = 1 / Math.Sqrt((x.Sum(v => v * v) / x.Length) + Number("rms_norm_eps", double.NaN));
        var from = _type == "gemma2" ? 1 : 0;
        return [.. x.Select((v, i) => v * scale * (tensors[weight][i] + from))];
    }

    private double[] LayerNorm(double[] x, string name)
    {
        var mean = x.Average();
        var scale = 1 / Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + Number("layer_norm_eps", 1e-5));
        var (weight, bias) = (tensors[name + ".weight"], tensors[name + ".bias"]);
        return [.. x.Select((v, i) => ((v - mean) * scale * weight[i]) + bias[i])];
    }

    private double[] Linear(string name, double[] x)
    {
        var product = Product(name + ".weight", x);
        return tensors.TryGetValue(name + ".bias", out var bias) ? Sum(product, bias) : product;
    }

    private double[] Product(string name, double[] x)
    {
        var weight = tensors[name];
        return [.. Enumerable.Range(0, weight.Length / x.Length).Select(row =>
        {
            var sum = 0.0;
            for (var i = 0; i < x.Length; i++) sum += weight[(row * x.Length) + i] * x[i];
            return sum;
        })];
    }

    private double[] Row(string name, int row, int width) => tensors[name][(row * width)..((row + 1) * width)];

    private double Number(string key, double standard) =>
        config.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number
            ? value.GetDouble() : standard;

    private bool Flag(string key, bool standard) =>
        config.TryGetProperty(key, out var value) ? value.GetBoolean() : standard;

    private static int Int(string key, JsonElement config) => config.GetProperty(key).GetInt32();

    private static double[] Sum(double[] a, double[] b) => [.. a.Select((v, i) => v + b[i])];

    private static double[][] Sum(double[][] a, double[][] b) => [.. a.Select((v, i) => Sum(v, b[i]))];

    private static double[] Times(double[] a, double by) => [.. a.Select(v => v * by)];
}
