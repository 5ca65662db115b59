using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

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

    /// <summary>Reads a profile's JSON text.</summary>
    /// <exception cref="PlanningInputException">A key is missing or a time is not a positive number.</exception>
    public static ProfileTable Parse(string json)
    {
        using var document = ParseDocument(json);
        var root = document.RootElement;
        var layers = (int)Number(root, "layer_num");
        var ranks = ImmutableSortedDictionary.CreateBuilder<int, ImmutableArray<ProfilePoint>>();
        foreach (var entry in root.EnumerateObject().Where(e => e.Name.StartsWith("tp-", StringComparison.Ordinal)))
        {
            ranks.Add(Suffix(entry.Name), [.. entry.Value.EnumerateObject()
                .Select(e => new ProfilePoint(Suffix(e.Name), Number(e.Value, "init"), Number(e.Value, "incr")))
                .OrderBy(point => point.Batch)]);
        }

        if (ranks.Count == 0) throw new PlanningInputException("The profile's tp-M tables", null, "at least one");
        return new ProfileTable(
            root.TryGetProperty("name", out var name) ? name.GetString() ?? "profile" : "profile",
            layers,
            root.TryGetProperty("padded_layer_num", out var padded) ? padded.GetInt32() : layers,
            root.TryGetProperty("max_tp", out var ranksMax) ? ranksMax.GetInt32() : ranks.Keys.Max(),
            Number(root, "final_fix_factor"),
            Number(root, "pp_init_comm"),
            Number(root, "pp_incr_comm"),
            [.. Property(root, "embed").EnumerateArray().Select(e => Inputs.Positive(e.GetDouble(), "embed"))],
            ranks.ToImmutable());
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

    private static JsonDocument ParseDocument(string json)
    {
        try
        {
            return JsonDocument.Parse(json);
        }
        catch (JsonException error)
        {
            throw new PlanningInputException("The profile", error.Message, "a JSON object with tp-M tables");
        }
    }

    private static int Suffix(string name) =>
        int.TryParse(name[(name.IndexOf('-', StringComparison.Ordinal) + 1)..], CultureInfo.InvariantCulture, out var n)
            ? n
            : throw new PlanningInputException("A profile key", name, "like tp-4 or bsz-2");

    private static JsonElement Property(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value)
            ? value
            : throw new PlanningInputException($"The profile's {name}", null, "given");

    private static double Number(JsonElement element, string name) =>
        Inputs.Positive(Property(element, name).GetDouble(), $"The profile's {name}");
}
