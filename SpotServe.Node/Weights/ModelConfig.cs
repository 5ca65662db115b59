using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Weights;

/// <summary>What feed-forward parts pass their values through.</summary>
public enum Activation
{
    Silu,

    /// <summary>By the error function.</summary>
    Gelu,

    /// <summary>By the hyperbolic tangent.</summary>
    GeluTanh,

    /// <summary>x times the logistic function of 1.702 x.</summary>
    QuickGelu,
    Relu,
    ReluSquared,
}

/// <summary>A model folder's config.json and generation_config.json, in one vocabulary for all families.</summary>
/// <param name="Name">model_type.</param>
/// <param name="ContextMax">Tokens of the longest context that is served.</param>
/// <param name="SlidingWindow">Tokens that attention looks back on, itself included, in layers with a window; null is
/// all.</param>
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

    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>The layers with a window; empty is all.</summary>
    public ImmutableArray<bool> SlidingLayers { get; init; } = [];

    /// <summary>The positions that the checkpoint has where they are learned; more than the context when that is
    /// limited.</summary>
    public int Positions { get; init; } = ContextMax;

    /// <summary>Tokens that a layer looks back on; 0 is all.</summary>
    public int WindowOf(int layer) =>
        SlidingWindow is { } window && (SlidingLayers.IsEmpty || SlidingLayers[layer]) ? window : 0;

    /// <summary>A flag that only the family knows; its rules list it.</summary>
    public bool Flag(string key, bool standard = false) =>
        Raw.TryGetProperty(key, out var value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean() : standard;

    /// <summary>A number that only the family knows; null when absent or null.</summary>
    public double? Number(string key) =>
        Raw.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    /// <summary>Reads a model folder's configuration.</summary>
    /// <param name="rulesOf">How the family of a model_type reads it; throws for one that is not served.</param>
    /// <exception cref="ModelFormatException">It is missing, malformed, describes an impossible model, or has a key
    /// that is not known.</exception>
    public static ModelConfig Load(string folder, Func<string, ConfigRules> rulesOf)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path)) throw new ModelFormatException($"{path}: the model's configuration is missing.");
        var generation = Path.Combine(folder, GenerationDefaults.FileName);
        return Parse(new ConfigFile(path), File.Exists(generation) ? new ConfigFile(generation) : null, rulesOf);
    }

    internal static ModelConfig Parse(ConfigFile config, ConfigFile? generation, Func<string, ConfigRules> rulesOf)
    {
        var name = config.Text("model_type")
            ?? throw new ModelFormatException($"{config.Path}: model_type is missing.");
        var rules = rulesOf(name);
        Check(config, rules, name);
        var hidden = config.Size(SizeMax, "hidden_size", "n_embd");
        var heads = config.Size(SizeMax, "num_attention_heads", "n_head");
        var layers = config.Size(LayersMax, "num_hidden_layers", "n_layer");
        var kvHeads = KvHeadsOf(config, rules, heads);
        var headSize = HeadSizeOf(config, rules, hidden, heads);
        var positions = config.Size(SizeMax, "max_position_embeddings", "n_positions");
        var (theta, fraction, rope) = rules.Rotary is { } rotary
            ? new RopeReader(config, rotary, name, headSize, positions).Read() : (10_000, 1, RopeScaling.None);
        var (window, sliding) = WindowsOf(config, rules, layers);
        return new ModelConfig(
            name,
            hidden,
            layers,
            heads,
            kvHeads,
            headSize,
            config.OptionalSize(SizeMax, "intermediate_size", "ffn_dim", "n_inner") ?? 4 * hidden,
            config.Size(SizeMax, "vocab_size"),
            // Longer sequences are turned by the long factors from their first token on, so that a sequence that grows
            // beyond the original context would have to be computed anew.
            rope.Type == "longrope" ? Math.Min(positions, rope.OriginalContext) : positions,
            EpsilonOf(config, rules),
            config.Flag("tie_word_embeddings") ?? rules.TiedEmbeddings,
            theta,
            fraction,
            rope,
            window,
            GenerationDefaults.Read(config, generation).EndTokens,
            config.Tokens("bos_token_id") is [var begin, ..] ? begin : null,
            config.Root)
        {
            Activation = ActivationOf(config, rules),
            SlidingLayers = sliding,
            Positions = positions,
        };
    }

    private static void Check(ConfigFile config, ConfigRules rules, string name)
    {
        config.RefuseUnknown(null, rules.Knows, $"a {name}");
        foreach (var (key, value) in rules.Only)
        {
            if (config.Has(key) && !config.Is(key, value)) throw config.Bad([key], $"must be {value} for a {name}");
        }

        foreach (var key in rules.Flags) config.Flag(key);
        foreach (var key in rules.Numbers)
        {
            if (config.Number(key) is <= 0) throw config.Bad([key], "must be above 0");
        }
    }

    private static int KvHeadsOf(ConfigFile config, ConfigRules rules, int heads)
    {
        var kvHeads = !rules.HasKvHeads ? heads
            : config.OptionalSize(SizeMax, "num_key_value_heads")
                ?? (config.Mentions("num_key_value_heads") ? heads : rules.KvHeads ?? heads);
        return heads % kvHeads == 0
            ? kvHeads
            : throw config.Bad(
                ["num_attention_heads"], $"is not a multiple of the {kvHeads} key/value heads (num_key_value_heads)");
    }

    private static int HeadSizeOf(ConfigFile config, ConfigRules rules, int hidden, int heads)
    {
        if (rules.HasHeadSize && config.OptionalSize(SizeMax, "head_dim") is { } given) return given;
        if (rules.HeadSize is { } standard && !config.Mentions("head_dim")) return standard;
        return hidden % heads == 0
            ? hidden / heads
            : throw config.Bad(["hidden_size"], $"is not a multiple of the {heads} heads (num_attention_heads)");
    }

    private static double EpsilonOf(ConfigFile config, ConfigRules rules)
    {
        if (rules.NormEpsilon.Key is not { } key) return rules.NormEpsilon.Default;
        var epsilon = config.Number(key) ?? rules.NormEpsilon.Default;
        return epsilon is >= 0 and < 1 ? epsilon : throw config.Bad([key], "must be 0 to 1");
    }

    private static Activation ActivationOf(ConfigFile config, ConfigRules rules)
    {
        var (key, standard) = rules.Activation;
        return (config.Text(key) ?? standard) switch
        {
            "silu" or "swish" => Activation.Silu,
            "gelu" or "gelu_python" => Activation.Gelu,
            "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" or "gelu_accurate" => Activation.GeluTanh,
            "quick_gelu" => Activation.QuickGelu,
            "relu" => Activation.Relu,
            "relu2" => Activation.ReluSquared,
            _ => throw config.Bad(
                [key],
                "must be silu, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, gelu_accurate, quick_gelu, relu or relu2"),
        };
    }

    private static (int? Window, ImmutableArray<bool> Layers) WindowsOf(
        ConfigFile config, ConfigRules rules, int layers)
    {
        if (rules.Windows == WindowRule.None) return (null, []);
        var window = config.OptionalSize(SizeMax, "sliding_window")
            ?? (config.Mentions("sliding_window") ? null : rules.Window);
        if (rules.Windows == WindowRule.Flagged && config.Flag("use_sliding_window") != true) window = null;
        if (rules.Windows == WindowRule.All) return (window, []);
        var sliding = config.Texts("layer_types") is { } types
            ? SlidingOf(config, types, layers)
            : [.. Enumerable.Range(0, layers).Select(IsSliding)];
        return window is not null || !config.Has("layer_types") || !sliding.Contains(true)
            ? (window, sliding)
            : throw config.Bad(
                ["layer_types"], "has \"sliding_attention\", but no sliding_window is in use to say how long it is");

        bool IsSliding(int layer) => rules.Windows == WindowRule.Alternating
            ? layer % 2 == 0
            : layer >= (config.Number("max_window_layers") ?? 28);
    }

    private static ImmutableArray<bool> SlidingOf(ConfigFile config, string[] types, int layers)
    {
        if (types.Length != layers)
            throw config.Bad(["layer_types"], $"must have {layers} entries, one for each layer");
        return [.. types.Select(type => type switch
        {
            "full_attention" => false,
            "sliding_attention" => true,
            _ => throw config.Bad(["layer_types"], "must hold \"full_attention\" and \"sliding_attention\" only"),
        })];
    }
}
