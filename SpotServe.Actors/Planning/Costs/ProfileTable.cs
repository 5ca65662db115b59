using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Actors.Planning;

/// <summary>One layer's measured times for a number of ranks and sequences, in milliseconds.</summary>
/// <param name="Init">Prefill of all prompts, 512 tokens each.</param>
/// <param name="Incr">One decode step.</param>
public readonly record struct ProfilePoint(int Batch, double Init, double Incr);

/// <summary>A profile as the paper's artifact stores it: times in milliseconds, prompts of 512 tokens.</summary>
/// <param name="PaddedLayerCount">P must divide it; the times themselves go with the real layer count.</param>
/// <param name="Embed">At [log2 b].</param>
/// <param name="Ranks">Points per M, by rising batch size.</param>
public sealed record ProfileTable(
    string Name,
    int LayerCount,
    int PaddedLayerCount,
    int RanksMax,
    double FinalFixFactor,
    double InitHandOff,
    double IncrHandOff,
    ImmutableArray<double> Embed,
    ImmutableSortedDictionary<int, ImmutableArray<ProfilePoint>> Ranks)
{
    /// <summary>Length of the prompts that were profiled.</summary>
    public const int PromptTokens = 512;

    private const int CountMax = 65_536;

    private static readonly ImmutableHashSet<string> Known =
    [
        "name", "layer_num", "padded_layer_num", "max_tp", "final_fix_factor", "pp_init_comm", "pp_incr_comm", "embed",
        "hidden_size",
    ];

    /// <summary>Keys that were passed over.</summary>
    public ImmutableArray<string> UnknownKeys { get; init; } = [];

    /// <summary>Reads a profile's JSON text, and names its file where it is wrong.</summary>
    /// <exception cref="PlanningInputException">A key is missing or a time is not a positive number.</exception>
    public static ProfileTable Parse(string file, string json)
    {
        try
        {
            return Parse(json);
        }
        catch (PlanningInputException wrong)
        {
            throw wrong.In(file);
        }
    }

    /// <summary>Reads a profile's JSON text.</summary>
    /// <exception cref="PlanningInputException">A key is missing or a time is not a positive number.</exception>
    public static ProfileTable Parse(string json)
    {
        using var document = ParseDocument(json);
        var root = document.RootElement;
        var layers = Count(root, "layer_num");
        var ranks = ImmutableSortedDictionary.CreateBuilder<int, ImmutableArray<ProfilePoint>>();
        foreach (var entry in root.EnumerateObject().Where(e => e.Name.StartsWith("tp-", StringComparison.Ordinal)))
        {
            if (!ranks.TryAdd(Suffix(entry.Name, "tp-"), Points(entry)))
                throw new PlanningInputException("A profile key", entry.Name + ", for the second time", "there once");
        }

        if (ranks.Count == 0) throw new PlanningInputException("The profile's tp-M tables", null, "at least one");
        var embed = Property(root, "embed");
        if (embed.ValueKind != JsonValueKind.Array || embed.GetArrayLength() == 0)
            throw new PlanningInputException("The profile's embed", Short(embed), "a list of times");
        return new ProfileTable(
            root.TryGetProperty("name", out var name) ? JsonTexts.Of(name) ?? "profile" : "profile",
            layers,
            root.TryGetProperty("padded_layer_num", out _) ? Count(root, "padded_layer_num") : layers,
            root.TryGetProperty("max_tp", out _) ? Count(root, "max_tp") : ranks.Keys.Max(),
            Number(root, "final_fix_factor"),
            Number(root, "pp_init_comm"),
            Number(root, "pp_incr_comm"),
            [.. embed.EnumerateArray().Select(e => Time(e, "The profile's embed"))],
            ranks.ToImmutable())
        {
            UnknownKeys =
            [
                .. root.EnumerateObject().Select(e => e.Name)
                    .Where(key => !key.StartsWith("tp-", StringComparison.Ordinal) && !Known.Contains(key)),
            ],
        };
    }

    /// <summary>A layer's times; between profiled batch sizes, and beyond them, on the line through the nearest
    /// two.</summary>
    public ProfilePoint Layer(int ranks, int batch)
    {
        var points = Ranks[ranks];
        var upper = 0;
        while (upper < points.Length && points[upper].Batch < batch) upper++;
        if (upper < points.Length && points[upper].Batch == batch) return points[upper];
        if (points.Length == 1) return points[0] with { Batch = batch };
        var high = points[Math.Clamp(upper, 1, points.Length - 1)];
        var low = points[Math.Clamp(upper, 1, points.Length - 1) - 1];
        var part = (batch - low.Batch) / (double)(high.Batch - low.Batch);
        return new ProfilePoint(
            batch, low.Init + (part * (high.Init - low.Init)), low.Incr + (part * (high.Incr - low.Incr)));
    }

    private static ImmutableArray<ProfilePoint> Points(JsonProperty table)
    {
        if (table.Value.ValueKind != JsonValueKind.Object || !table.Value.EnumerateObject().Any())
        {
            throw new PlanningInputException(
                $"The profile's {table.Name}", Short(table.Value), "like {\"bsz-1\": {\"init\": 9.1, \"incr\": 1.2}}");
        }

        ImmutableArray<ProfilePoint> points =
        [
            .. table.Value.EnumerateObject()
                .Select(e => new ProfilePoint(Suffix(e.Name, "bsz-"), Number(e.Value, "init"), Number(e.Value, "incr")))
                .OrderBy(point => point.Batch),
        ];
        // Times between two of the same size would lie on no line.
        var twice = points.Zip(points.Skip(1)).FirstOrDefault(pair => pair.First.Batch == pair.Second.Batch);
        return twice.First.Batch == 0
            ? points
            : throw new PlanningInputException(
                $"The profile's {table.Name}", $"without one meaning: bsz-{twice.First.Batch} is there twice",
                "given once for each size");
    }

    private static JsonDocument ParseDocument(string json)
    {
        try
        {
            var document = JsonTexts.Parse(json);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
            throw new PlanningInputException("The profile", "no JSON object", "one with tp-M tables");
        }
        catch (JsonException error)
        {
            throw new PlanningInputException("The profile", error.Message, "a JSON object with tp-M tables");
        }
    }

    private static int Suffix(string key, string prefix) =>
        key.StartsWith(prefix, StringComparison.Ordinal)
            && int.TryParse(key[prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number is >= 1 and <= CountMax
            ? number
            : throw new PlanningInputException("A profile key", key, $"like {prefix}4");

    private static JsonElement Property(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value)
            ? value
            : throw new PlanningInputException($"The profile's {name}", null, "given");

    private static int Count(JsonElement element, string name)
    {
        var value = Property(element, name);
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var count)
            && count is >= 1 and <= CountMax
            ? count
            : throw new PlanningInputException(
                $"The profile's {name}", Short(value), $"a whole number of 1 to {CountMax}");
    }

    private static double Number(JsonElement element, string name) =>
        Time(Property(element, name), $"The profile's {name}");

    private static double Time(JsonElement value, string what) => value.ValueKind == JsonValueKind.Number
        ? Inputs.Positive(value.GetDouble(), what)
        : throw new PlanningInputException(what, Short(value), "a positive number");

    private static string Short(JsonElement value)
    {
        const int CharactersMax = 60;
        var text = value.GetRawText();
        return text.Length <= CharactersMax ? text : text[..CharactersMax] + "...";
    }
}
