using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Weights;

/// <summary>How rotary frequencies are stretched beyond the context that a model was trained on.</summary>
/// <param name="Type">"default", "linear" or "llama3".</param>
public sealed record RopeScaling(
    string Type, double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext)
{
    public static RopeScaling None => new("default", 1, 1, 1, 0);
}

/// <summary>A model folder's config.json and generation_config.json, in one vocabulary for all families.</summary>
/// <param name="Name">model_type.</param>
/// <param name="SlidingWindow">Tokens that attention looks back on, itself included; null is all.</param>
/// <param name="RotaryFraction">Part of each head that is rotated.</param>
/// <param name="Raw">config.json itself, for what only one family knows.</param>
public sealed record ModelConfig(
    string Name,
    int Hidden,
    int Layers,
    int Heads,
    int KvHeads,
    int HeadSize,
    int Intermediate,
    int Vocabulary,
    int ContextMax,
    double NormEpsilon,
    bool TiedEmbeddings,
    double RopeTheta,
    double RotaryFraction,
    RopeScaling Rope,
    int? SlidingWindow,
    ImmutableArray<int> EndTokens,
    int? BeginToken,
    JsonElement Raw)
{
    private const int SizeMax = 1 << 24;
    private const int LayersMax = 4096;

    /// <summary>Reads a model folder's configuration.</summary>
    /// <exception cref="ModelFormatException">It is missing, malformed, or describes an impossible model.</exception>
    public static ModelConfig Load(string folder)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path)) throw new ModelFormatException($"{path}: the model's configuration is missing.");
        var generation = Path.Combine(folder, "generation_config.json");
        var config = new JsonReader(path);
        return Parse(config, File.Exists(generation) ? new JsonReader(generation) : null);
    }

    internal static ModelConfig Parse(JsonReader config, JsonReader? generation)
    {
        var hidden = config.Size(SizeMax, "hidden_size", "n_embd");
        var heads = config.Size(SizeMax, "num_attention_heads", "n_head");
        var kvHeads = config.OptionalSize(SizeMax, "num_key_value_heads") ?? heads;
        var headSize = config.OptionalSize(SizeMax, "head_dim") ?? hidden / heads;
        if (heads % kvHeads != 0)
        {
            throw new ModelFormatException(
                $"{config.Path}: num_attention_heads {heads} is not a multiple of num_key_value_heads {kvHeads}.");
        }

        if (headSize < 1)
            throw new ModelFormatException($"{config.Path}: hidden_size {hidden} is less than {heads} heads.");

        var ends = generation?.Tokens("eos_token_id") ?? [];
        var window = config.Flag("use_sliding_window") ?? true;
        return new ModelConfig(
            config.Text("model_type") ?? throw new ModelFormatException($"{config.Path}: model_type is missing."),
            hidden,
            config.Size(LayersMax, "num_hidden_layers", "n_layer"),
            heads,
            kvHeads,
            headSize,
            config.OptionalSize(SizeMax, "intermediate_size", "ffn_dim", "n_inner") ?? 4 * hidden,
            config.Size(SizeMax, "vocab_size"),
            config.Size(SizeMax, "max_position_embeddings", "n_positions"),
            config.Number("rms_norm_eps") ?? config.Number("layer_norm_eps")
                ?? config.Number("layer_norm_epsilon") ?? 1e-5,
            config.Flag("tie_word_embeddings") ?? false,
            config.Number("rope_parameters", "rope_theta") ?? config.Number("rope_theta")
                ?? config.Number("rotary_emb_base") ?? 10_000,
            config.Number("rope_parameters", "partial_rotary_factor") ?? config.Number("partial_rotary_factor")
                ?? config.Number("rotary_pct") ?? 1,
            ReadRope(config),
            window ? config.OptionalSize(SizeMax, "sliding_window") : null,
            [.. ends.Concat(config.Tokens("eos_token_id")).Distinct()],
            config.Tokens("bos_token_id") is [var begin, ..] ? begin : null,
            config.Root);
    }

    private static RopeScaling ReadRope(JsonReader config)
    {
        var section = config.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
        var type = config.Text(section, "rope_type") ?? config.Text(section, "type") ?? "default";
        var factor = config.Number(section, "factor") ?? 1;
        if (!(factor >= 1 && double.IsFinite(factor)))
            throw new ModelFormatException($"{config.Path}: {section}.factor {factor} is not at least 1.");
        switch (type)
        {
            case "default":
                return RopeScaling.None;
            case "linear":
                return RopeScaling.None with { Type = type, Factor = factor };
            case "llama3":
                double low = config.Number(section, "low_freq_factor") ?? 1;
                double high = config.Number(section, "high_freq_factor") ?? 4;
                var original = config.Number(section, "original_max_position_embeddings") ?? 8192;
                return high > low && low > 0 && original >= 1
                    ? new RopeScaling(type, factor, low, high, (int)original)
                    : throw new ModelFormatException(
                        $"{config.Path}: {section} needs high_freq_factor > low_freq_factor > 0.");
            default:
                throw new ModelFormatException(
                    $"{config.Path}: {section} type \"{type}\" is not one of default, linear, llama3.");
        }
    }
}
