using System.Collections.Immutable;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Weights;

/// <summary>How rotary frequencies are stretched beyond the context that a model was trained on.</summary>
/// <param name="Type">"default", "linear", "llama3", "yarn" or "longrope". "dynamic" changes nothing within the context
/// that is served, and is "default" here.</param>
/// <param name="OriginalContext">Tokens of the context that the model was trained on; 0 where the type needs
/// none.</param>
public sealed record RopeScaling(
    string Type, double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext)
{
    public static RopeScaling None => new("default", 1, 1, 1, 0);

    /// <summary>Cosines and sines are multiplied by it.</summary>
    public double Amplitude { get; init; } = 1;

    /// <summary>Yarn: frequencies that turn more often than this in the original context are kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>Yarn: those that turn less often than this are divided by the factor.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>Yarn: the two ends are whole places.</summary>
    public bool Truncates { get; init; } = true;

    /// <summary>Longrope: what each frequency is divided by.</summary>
    public ImmutableArray<double> Divisors { get; init; } = [];
}

/// <summary>
/// Reads rope_scaling and rope_parameters as transformers 5 does: the former, unless it is null or empty, in place of
/// the latter; the base and the turned part of the one that counts, else beside it, else the family's.
/// </summary>
internal sealed class RopeReader(ConfigFile config, RotaryRules rules, string family, int headSize, int contextMax)
{
    private static readonly string[] Known =
    [
        "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "original_max_position_embeddings",
        "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate", "short_factor",
        "long_factor", "low_freq_factor", "high_freq_factor", "finetuned",
    ];

    private readonly string _section =
        config.Has("rope_scaling") && !config.Is("rope_scaling", "{}") ? "rope_scaling" : "rope_parameters";

    /// <exception cref="ModelFormatException">Malformed, or not built; names the key.</exception>
    public (double Theta, double Fraction, RopeScaling Scaling) Read()
    {
        config.RefuseUnknown(_section, key => Known.Contains(key), $"the rotary positions of a {family}");
        var theta = config.Number(_section, "rope_theta") ?? config.Number(rules.Theta) ?? 10_000;
        if (theta <= 1)
            throw config.Bad([config.Has(_section, "rope_theta") ? _section : rules.Theta], "needs a base above 1");
        return (theta, Fraction(), Scaling());
    }

    private double Fraction()
    {
        var inside = config.Number(_section, "partial_rotary_factor");
        if (rules.Fraction is not { } key)
        {
            return inside is null or 1
                ? 1
                : throw config.Bad([_section, "partial_rotary_factor"], $"must be 1 for a {family}, which turns all");
        }

        var beside = config.Number(key);
        if (inside is not null && beside is not null && inside != beside)
            throw config.Bad([key], $"contradicts {_section}.partial_rotary_factor; remove one of them");
        var fraction = inside ?? beside ?? rules.FractionDefault;
        return fraction is > 0 and <= 1 ? fraction : throw config.Bad([key], "must be above 0 and at most 1");
    }

    private RopeScaling Scaling()
    {
        var type = config.Text(_section, "rope_type") ?? config.Text(_section, "type") ?? "default";
        if (rules.IsLongOnly && type is "su" or "yarn") type = "longrope";
        return type switch
        {
            "default" => RopeScaling.None,
            "longrope" => LongRope(),
            "linear" when !rules.IsLongOnly => RopeScaling.None with { Type = type, Factor = Factor() },
            // The base grows with the length beyond max_position_embeddings, and no request is longer.
            "dynamic" when !rules.IsLongOnly && Factor() >= 1 => RopeScaling.None,
            "llama3" when !rules.IsLongOnly => Llama3(),
            "yarn" when !rules.IsLongOnly => Yarn(),
            _ => throw config.Bad(
                [_section],
                $"has the type \"{type}\", which is not one of default, "
                + (rules.IsLongOnly ? "longrope" : "linear, dynamic, llama3, yarn, longrope")),
        };
    }

    private RopeScaling Llama3()
    {
        var low = Required("low_freq_factor");
        var high = Required("high_freq_factor");
        return high > low && low > 0
            ? new RopeScaling("llama3", Factor(), low, high, Original())
            : throw config.Bad([_section, "high_freq_factor"], "must be above low_freq_factor, and that above 0");
    }

    private RopeScaling Yarn()
    {
        var factor = Factor();
        var (scale, whole) = (config.Number(_section, "mscale") ?? 0, config.Number(_section, "mscale_all_dim") ?? 0);
        var amplitude = config.Number(_section, "attention_factor")
            ?? (scale != 0 && whole != 0 ? Magnitude(scale) / Magnitude(whole) : Magnitude(1));
        // 0 stands for "not given", as the reference has it.
        var fast = config.Number(_section, "beta_fast") is { } givenFast and not 0 ? givenFast : 32;
        var slow = config.Number(_section, "beta_slow") is { } givenSlow and not 0 ? givenSlow : 1;
        return fast > 0 && slow > 0
            ? new RopeScaling("yarn", factor, 1, 1, Original())
            {
                Amplitude = amplitude,
                BetaFast = fast,
                BetaSlow = slow,
                Truncates = config.Flag(_section, "truncate") ?? true,
            }
            : throw config.Bad([_section, "beta_fast"], "and beta_slow must be above 0");

        double Magnitude(double by) => factor <= 1 ? 1 : (0.1 * by * Math.Log(factor)) + 1;
    }

    private RopeScaling LongRope()
    {
        var original = Original();
        var width = (int)(headSize * Fraction()) / 2;
        foreach (var key in (string[])["short_factor", "long_factor"])
        {
            if (config.Numbers(_section, key) is not { } factors)
                throw config.Bad([_section, key], $"must be a list of {width} numbers");
            if (factors.Length != width || factors.Any(factor => factor <= 0))
                throw config.Bad([_section, key], $"must be {width} numbers above 0");
        }

        var stretch = config.Number(_section, "factor") ?? (double)contextMax / original;
        return new RopeScaling("longrope", stretch, 1, 1, original)
        {
            Amplitude = config.Number(_section, "attention_factor")
                ?? (stretch <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(stretch) / Math.Log(original)))),
            Divisors = [.. config.Numbers(_section, "short_factor")!],
        };
    }

    /// <summary>What stands beside the section counts more than what stands in it, as for the reference.</summary>
    private int Original() => config.OptionalSize(1 << 24, "original_max_position_embeddings")
        ?? (config.Number(_section, "original_max_position_embeddings") is { } given
            ? given is >= 2 and <= 1 << 24
                ? (int)given : throw config.Bad([_section, "original_max_position_embeddings"], "must be 2 or more")
            : contextMax);

    private double Factor()
    {
        var factor = Required("factor");
        return factor >= 1 ? factor : throw config.Bad([_section, "factor"], "must be 1 or more");
    }

    private double Required(string key) => config.Number(_section, key)
        ?? throw new ModelFormatException($"{config.Path}: {_section}.{key} is missing.");
}
