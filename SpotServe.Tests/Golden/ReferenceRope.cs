using System.Text.Json;

namespace SpotServe.Tests.Golden;

/// <summary>Rotary frequencies by the papers' formulas.</summary>
internal sealed class ReferenceRope
{
    private readonly JsonElement _rope;
    private readonly string _type;
    private readonly double _theta;
    private readonly int _contextMax;

    public ReferenceRope(JsonElement config, int headSize)
    {
        _rope = config.TryGetProperty("rope_scaling", out var scaling) && scaling.ValueKind == JsonValueKind.Object
            ? scaling
            : config.TryGetProperty("rope_parameters", out var all) ? all : JsonDocument.Parse("{}").RootElement;
        _type = Text("rope_type") ?? Text("type") ?? "default";
        _contextMax = config.GetProperty("max_position_embeddings").GetInt32();
        _theta = Number("rope_theta") ?? Beside("rope_theta") ?? Beside("rotary_emb_base") ?? 10_000;
        var fraction = Number("partial_rotary_factor") ?? Beside("partial_rotary_factor") ?? Beside("rotary_pct")
            ?? (config.GetProperty("model_type").GetString() == "gpt_neox" ? 0.25 : 1);
        Width = (int)(headSize * fraction);
        Original = Beside("original_max_position_embeddings") ?? Number("original_max_position_embeddings")
            ?? _contextMax;

        double? Beside(string key) =>
            config.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number
                ? value.GetDouble() : null;
    }

    public int Width { get; }

    private double Original { get; }

    private double Factor => Number("factor") ?? _contextMax / Original;

    public double Amplitude => Number("attention_factor") ?? _type switch
    {
        "yarn" => (0.1 * Math.Log(Factor)) + 1,
        "longrope" => Math.Sqrt(1 + (Math.Log(Factor) / Math.Log(Original))),
        _ => 1,
    };

    public double Frequency(int pair)
    {
        var plain = Math.Pow(_theta, -2.0 * pair / Width);
        switch (_type)
        {
            case "default" or "dynamic":
                return plain;
            case "linear":
                return plain / Factor;
            case "longrope":
                return plain / _rope.GetProperty("short_factor")[pair].GetDouble();
            case "llama3":
                var wave = 2 * Math.PI / plain;
                double low = Number("low_freq_factor")!.Value, high = Number("high_freq_factor")!.Value;
                if (wave < Original / high) return plain;
                if (wave > Original / low) return plain / Factor;
                var smooth = ((Original / wave) - low) / (high - low);
                return ((1 - smooth) * plain / Factor) + (smooth * plain);
            case "yarn":
                double Place(double turns) =>
                    Width * Math.Log(Original / (turns * 2 * Math.PI)) / (2 * Math.Log(_theta));
                var first = Math.Max(Math.Floor(Place(Number("beta_fast") ?? 32)), 0);
                var last = Math.Min(Math.Ceiling(Place(Number("beta_slow") ?? 1)), Width - 1);
                if (first == last) last += 0.001;
                var ramp = Math.Clamp((pair - first) / (last - first), 0, 1);
                return (plain / Factor * ramp) + (plain * (1 - ramp));
            default:
                throw new ArgumentException(_type);
        }
    }

    private string? Text(string key) => _rope.TryGetProperty(key, out var value) ? value.GetString() : null;

    private double? Number(string key) =>
        _rope.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}
