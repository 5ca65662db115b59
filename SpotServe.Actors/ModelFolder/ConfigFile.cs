using System.Collections.Immutable;
using System.Text.Json;

namespace SpotServe.Actors.ModelFolder;

/// <summary>Typed look-ups in a JSON file of a model folder whose errors name the file and the key.</summary>
public sealed class ConfigFile
{
    private const long BytesMax = 16 << 20;
    private const int ShownMax = 60;

    /// <summary>Reads a file.</summary>
    /// <exception cref="ModelFormatException">It cannot be read, or is not a JSON object.</exception>
    public ConfigFile(string path)
    {
        Path = path;
        try
        {
            if (new FileInfo(path).Length > BytesMax)
                throw new ModelFormatException($"{path}: is larger than {BytesMax >> 20} MiB.");
            Root = Parse(path, File.ReadAllBytes(path));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ModelFormatException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    /// <param name="path">What errors call it.</param>
    /// <exception cref="ModelFormatException">It is not a JSON object.</exception>
    public ConfigFile(string path, ReadOnlySpan<byte> json)
    {
        Path = path;
        Root = Parse(path, json.ToArray());
    }

    public string Path { get; }

    public JsonElement Root { get; }

    /// <summary>Whether it is there and not null.</summary>
    public bool Has(params ReadOnlySpan<string> keys) => Find(keys) is not null;

    /// <summary>Whether the key is written, be it with null.</summary>
    public bool Mentions(string key) => Root.TryGetProperty(key, out _);

    /// <summary>Refuses keys that are not known: what they change is not known either. Null and false ask for
    /// nothing.</summary>
    /// <param name="section">Null for the file itself.</param>
    /// <param name="what">What does not know them, e.g. "a llama".</param>
    public void RefuseUnknown(string? section, Func<string, bool> isKnown, string what)
    {
        if ((section is null ? Root : Find(section)) is not { } at) return;
        if (at.ValueKind != JsonValueKind.Object) throw Bad([section!], "must be an object");
        foreach (var member in at.EnumerateObject())
        {
            var asksForNothing = member.Value.ValueKind is JsonValueKind.Null or JsonValueKind.False;
            if (asksForNothing || isKnown(member.Name)) continue;
            throw Bad(
                section is null ? [member.Name] : [section, member.Name],
                $"is not known for {what}, so what it changes is not known either; remove it if nothing depends on it");
        }
    }

    /// <summary>The error to throw about a value; it shows the beginning of it.</summary>
    public ModelFormatException Bad(ReadOnlySpan<string> keys, string what)
    {
        var value = Find(keys) is { } found ? Shorten(found.GetRawText()) : "missing";
        return new ModelFormatException($"{Path}: {string.Join('.', keys!)} is {value}; it {what}.");
    }

    /// <summary>A size from 1 to <paramref name="max"/>, under the first of the names that is there.</summary>
    public int Size(int max, params ReadOnlySpan<string> names) =>
        OptionalSize(max, names) ?? throw new ModelFormatException($"{Path}: {names[0]} is missing.");

    public int? OptionalSize(int max, params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
        {
            if (Find(name) is not { } value) continue;
            return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var size) && size >= 1
                && size <= max
                    ? size
                    : throw Bad([name], $"must be 1 to {max}");
        }

        return null;
    }

    public double? Number(params ReadOnlySpan<string> keys)
    {
        if (Find(keys) is not { } value) return null;
        return NumberOf(value) ?? throw Bad(keys, "must be a number");
    }

    /// <summary>A list of numbers; null when absent.</summary>
    public double[]? Numbers(params ReadOnlySpan<string> keys)
    {
        if (Find(keys) is not { } value) return null;
        var numbers = value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray().Select(NumberOf).ToArray() : [null];
        return numbers.Contains(null)
            ? throw Bad(keys, "must be a list of numbers")
            : [.. numbers.Select(number => number!.Value)];
    }

    public bool? Flag(params ReadOnlySpan<string> keys) => Find(keys)?.ValueKind switch
    {
        null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Bad(keys, "must be true or false"),
    };

    public string? Text(params ReadOnlySpan<string> keys) =>
        Find(keys) is { } value ? JsonTexts.Of(value) ?? throw Bad(keys, "must be a text") : null;

    /// <summary>A list of texts; null when absent.</summary>
    public string[]? Texts(params ReadOnlySpan<string> keys)
    {
        if (Find(keys) is not { } value) return null;
        var texts = value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray().Select(JsonTexts.Of).ToArray() : [null];
        return texts.Contains(null) ? throw Bad(keys, "must be a list of texts") : [.. texts.Select(text => text!)];
    }

    /// <summary>Token ids given as one number or a list of them; empty when absent. 2.0 is 2.</summary>
    public ImmutableArray<int> Tokens(string key)
    {
        if (Find(key) is not { } value) return [];
        var items = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().ToArray() : [value];
        return [.. items.Select(item =>
            NumberOf(item) is { } id && id >= 0 && id <= int.MaxValue && id == Math.Floor(id)
                ? (int)id : throw Bad([key], "must be a token id or a list of them"))];
    }

    /// <summary>Whether a value is written as this JSON; numbers are compared as such.</summary>
    public bool Is(string key, string json)
    {
        if (Find(key) is not { } value) return json == "null";
        return value.GetRawText() == json
            || (NumberOf(value) is { } number && double.TryParse(
                json, System.Globalization.NumberStyles.Float, System.Globalization.CultureInfo.InvariantCulture,
                out var expected) && number == expected);
    }

    private static double? NumberOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number : null;

    private static string Shorten(string text)
    {
        var line = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return line.Length <= ShownMax ? line : line[..ShownMax] + "...";
    }

    /// <summary>Null stands for a key that is absent or null: configurations write both.</summary>
    private JsonElement? Find(params ReadOnlySpan<string> keys)
    {
        var at = Root;
        foreach (var key in keys)
        {
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(key, out at)
                || at.ValueKind == JsonValueKind.Null)
            {
                return null;
            }
        }

        return at;
    }

    private static JsonElement Parse(string path, byte[] json)
    {
        try
        {
            using var document = JsonTexts.Parse(json);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document.RootElement.Clone()
                : throw new ModelFormatException($"{path}: is not a JSON object.");
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{path}: is not JSON: {Shorten(error.Message)}", error);
        }
    }
}
