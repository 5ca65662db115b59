using System.Collections.Immutable;
using System.Text.Json;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Weights;

/// <summary>Typed look-ups in a JSON file whose errors name the file and the key.</summary>
internal sealed class JsonReader
{
    private const long BytesMax = 16 << 20;

    public JsonReader(string path)
    {
        Path = path;
        if (new FileInfo(path).Length > BytesMax)
            throw new ModelFormatException($"{path}: is larger than {BytesMax >> 20} MiB.");
        Root = Parse(path, File.ReadAllBytes(path));
    }

    public JsonReader(string path, ReadOnlySpan<byte> json)
    {
        Path = path;
        Root = Parse(path, json.ToArray());
    }

    public string Path { get; }

    public JsonElement Root { get; }

    public bool Has(params ReadOnlySpan<string> keys) => Find(keys) is not null;

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
                    : throw new ModelFormatException($"{Path}: {name} is {value}; it must be 1 to {max}.");
        }

        return null;
    }

    public double? Number(params ReadOnlySpan<string> keys)
    {
        if (Find(keys) is not { } value) return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number)
            ? number
            : throw new ModelFormatException($"{Path}: {string.Join('.', keys)} is not a number.");
    }

    public bool? Flag(params ReadOnlySpan<string> keys) => Find(keys)?.ValueKind switch
    {
        null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw new ModelFormatException($"{Path}: {string.Join('.', keys)} is not true or false."),
    };

    public string? Text(params ReadOnlySpan<string> keys)
    {
        if (Find(keys) is not { } value) return null;
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : throw new ModelFormatException($"{Path}: {string.Join('.', keys)} is not a text.");
    }

    /// <summary>Token ids given as one number or a list of them; empty when absent.</summary>
    public ImmutableArray<int> Tokens(string key)
    {
        if (Find(key) is not { } value) return [];
        var items = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().ToArray() : [value];
        return [.. items.Select(item =>
            item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) && id >= 0
                ? id : throw new ModelFormatException($"{Path}: {key} is not a token id or a list of them."))];
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
            using var document = JsonDocument.Parse(json);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document.RootElement.Clone()
                : throw new ModelFormatException($"{path}: is not a JSON object.");
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"{path}: is not JSON: {error.Message}", error);
        }
    }
}
