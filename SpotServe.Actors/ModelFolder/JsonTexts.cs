using System.Text.Json;

namespace SpotServe.Actors.ModelFolder;

/// <summary>
/// Names and texts in JSON that others wrote. A parser takes "\ud800", half a surrogate pair, for either, and fails
/// whoever reads it, and whoever looks for another name beside it.
/// </summary>
public static class JsonTexts
{
    /// <summary>Looks at all names of a document, at any depth, once where it comes in.</summary>
    /// <exception cref="JsonException">A name is no valid text, or this is no JSON.</exception>
    public static void CheckNames(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueIsEscaped) _ = reader.GetString();
            }
        }
        catch (InvalidOperationException error)
        {
            throw new JsonException("a name in it holds half of a surrogate pair", error);
        }
    }

    /// <summary>A value's text; null where it is another kind, or no valid text.</summary>
    public static string? Of(JsonElement value)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }
}
