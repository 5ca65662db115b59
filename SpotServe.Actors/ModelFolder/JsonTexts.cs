using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace SpotServe.Actors.ModelFolder;

/// <summary>
/// Names and texts in JSON that others wrote. .NET's parser takes "\ud800", half a surrogate pair, for either, and
/// bytes that are no UTF-8, and fails whoever reads it, and whoever looks for another name beside it. So all JSON from
/// outside comes in by <see cref="Parse(ReadOnlyMemory{byte}, JsonDocumentOptions)"/>, which has looked at all names,
/// and all texts in it are read by <see cref="Of"/>, which says that one is none.
/// </summary>
public static class JsonTexts
{
    /// <summary>A document whose names can all be read.</summary>
    /// <exception cref="JsonException">It is no JSON, no UTF-8, or has a name that is no valid text.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> utf8, JsonDocumentOptions options = default)
    {
        if (!Utf8.IsValid(utf8.Span)) throw new JsonException("it is no valid UTF-8");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(utf8, options);
        }
        catch (InvalidOperationException error)   // where it compares names, to find those that come twice
        {
            throw BadName(error);
        }

        try
        {
            CheckNames(utf8.Span, options.MaxDepth);
            return document;
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }

    /// <inheritdoc cref="Parse(ReadOnlyMemory{byte}, JsonDocumentOptions)"/>
    public static JsonDocument Parse(string json) => Parse(Encoding.UTF8.GetBytes(json));

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

    private static void CheckNames(ReadOnlySpan<byte> json, int depthMax)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = depthMax });
        try
        {
            while (reader.Read())
            {
                if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueIsEscaped) _ = reader.GetString();
            }
        }
        catch (InvalidOperationException error)
        {
            throw BadName(error);
        }
    }

    private static JsonException BadName(Exception error) =>
        new("a name in it holds half of a surrogate pair", error);
}
