using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Tokenization;

/// <summary>A value of a JSON file that knows where it is, so that every complaint names file and field.</summary>
internal readonly record struct JsonField(JsonElement Value, string File, string Path)
{
    public bool IsPresent => Value.ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null);

    /// <summary>A member of this object; absent members are undefined, not an error.</summary>
    public JsonField this[string name]
    {
        get
        {
            if (Value.ValueKind != JsonValueKind.Object) throw Bad("must be an object");
            Value.TryGetProperty(name, out var member);
            return new JsonField(member, File, Path.Length == 0 ? name : $"{Path}.{name}");
        }
    }

    /// <summary>This object, which has none but these members: what is not known could change the result. A member
    /// that is null says nothing.</summary>
    public JsonField Knowing(params ReadOnlySpan<string> names)
    {
        if (Value.ValueKind != JsonValueKind.Object) throw Bad("must be an object");
        foreach (var member in Value.EnumerateObject())
        {
            if (member.Value.ValueKind != JsonValueKind.Null && !names.Contains(member.Name))
            {
                throw this[member.Name].Bad(
                    "is not known here, so what it changes is not known either; remove it if nothing depends on it");
            }
        }

        return this;
    }

    /// <summary>Names of an object's members.</summary>
    public string[] Names() => Value.ValueKind == JsonValueKind.Object
        ? [.. Value.EnumerateObject().Select(member => member.Name)] : throw Bad("must be an object");

    public IEnumerable<JsonField> Items()
    {
        if (Value.ValueKind != JsonValueKind.Array) throw Bad("must be an array");
        var (file, path) = (File, Path);
        return Value.EnumerateArray().Select((item, i) => new JsonField(item, file, $"{path}[{i}]"));
    }

    public string Text() => JsonTexts.Of(Value) ?? throw Bad(
        Value.ValueKind == JsonValueKind.String
            ? "must be valid Unicode: half of a surrogate pair stands alone"
            : "must be a string");

    public string TextOr(string fallback) => IsPresent ? Text() : fallback;

    public bool FlagOr(bool fallback) => Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Undefined or JsonValueKind.Null => fallback,
        _ => throw Bad("must be true or false"),
    };

    /// <summary>An integer of [<paramref name="min"/>, <paramref name="max"/>].</summary>
    public int Integer(int min, int max) =>
        Value.ValueKind == JsonValueKind.Number && Value.TryGetInt32(out var number) && number >= min && number <= max
            ? number
            : throw Bad($"must be an integer of {min} to {max}");

    /// <summary>The error to throw about this value; it shows at most 80 characters of it.</summary>
    public ModelFormatException Bad(string what)
    {
        var where = Path.Length == 0 ? "the whole file" : $"field \"{Shorten(Path)}\"";
        var raw = Value.ValueKind switch
        {
            JsonValueKind.Undefined => "it is missing",
            JsonValueKind.Object or JsonValueKind.Array => $"it is an {Value.ValueKind.ToString().ToLowerInvariant()}",
            _ => $"it is {Shorten(Value.GetRawText())}",
        };
        return new ModelFormatException(OneLine($"{File}: {where} {what}; {raw}."));
    }

    /// <summary>Names and values may hold anything; an error is one line.</summary>
    private static string OneLine(string text) =>
        string.Concat(text.Select(c => char.IsControl(c) || c is '\u2028' or '\u2029' ? ' ' : c));

    private static string Shorten(string text) => text.Length <= 80 ? text : text[..80] + "...";
}
