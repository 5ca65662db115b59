using System.Globalization;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Api;

/// <summary>Typed access to a JSON object's members; a member that is null counts as absent.</summary>
/// <param name="root">An object.</param>
/// <param name="prefix">Put before names in complaints.</param>
internal readonly struct RequestFields(JsonElement root, string prefix = "")
{
    private const int ShownMax = 80;

    /// <summary>2^53: beyond it a double is no longer a certain whole number.</summary>
    private const double WholeMax = 9_007_199_254_740_992;

    public JsonElement this[string name] => root.TryGetProperty(name, out var value) ? value : default;

    public bool Has(string name) => this[name].ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null);

    public bool Flag(string name, bool fallback)
    {
        if (!Has(name)) return fallback;
        return this[name].ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Bad(name, "must be true or false"),
        };
    }

    public long Integer(string name, long fallback, long min, long max)
    {
        if (!Has(name)) return fallback;
        return WholeNumber(this[name]) is { } number && number >= min && number <= max
            ? number
            : throw Bad(name, min == max ? Say($"must be {min}") : Say($"must be an integer of {min} to {max}"));
    }

    /// <summary>3, 3.0 and 3e0 are the same number, and clients that compute with doubles write the second.</summary>
    public static long? WholeNumber(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Number) return null;
        if (value.TryGetInt64(out var whole)) return whole;
        return value.TryGetDouble(out var real) && Math.Abs(real) <= WholeMax && Math.Floor(real) == real
            ? (long)real
            : null;
    }

    public double Number(string name, double fallback, double min, double max)
    {
        if (!Has(name)) return fallback;
        var value = this[name];
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number)
            && number >= min && number <= max
            ? number
            : throw Bad(name, Range());

        string Range() => min == max ? Say($"must be {min}")
            : min == float.Epsilon ? Say($"must be a number above 0 and up to {max}")
            : Say($"must be a number of {min} to {max}");
    }

    /// <summary>A string, or null when absent.</summary>
    public string? Text(string name) => Has(name) ? TextOf(prefix + name, this[name]) : null;

    public static string TextOf(string name, JsonElement value) =>
        value.ValueKind != JsonValueKind.String
            ? throw ApiException.BadField(name, $"must be a string; it is {Shorten(value.GetRawText())}.")
            : JsonTexts.Of(value)
                ?? throw ApiException.BadField(name, "is no valid Unicode: half of a surrogate pair stands alone.");

    /// <summary>A member's name, shortened.</summary>
    public static string NameOf(JsonProperty member)
    {
        try
        {
            return Shorten(member.Name);
        }
        catch (InvalidOperationException)
        {
            throw new ApiException(
                System.Net.HttpStatusCode.BadRequest,
                "A name in the body is no valid Unicode: half of a surrogate pair stands alone.",
                code: "invalid_json");
        }
    }

    public ApiException Bad(string name, string must) => ApiException.BadField(
        prefix + name,
        this[name].ValueKind == JsonValueKind.Undefined
            ? $"{must}; it is missing."
            : $"{must}; it is {Shorten(this[name].GetRawText())}.");

    public static string Shorten(string text) => text.Length <= ShownMax ? text : text[..ShownMax] + "...";

    private static string Say(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
