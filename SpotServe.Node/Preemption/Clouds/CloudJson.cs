using System.Globalization;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Node.Preemption.Clouds;

/// <summary>Reads JSON of metadata services, which may be anything.</summary>
internal static class CloudJson
{
    /// <param name="what">Name of the document, for the error.</param>
    /// <exception cref="MetadataException">The text is no JSON object.</exception>
    public static JsonElement Object(string text, string what)
    {
        try
        {
            using var document = JsonTexts.Parse(text);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new MetadataException($"{what} is not JSON", error);
        }

        throw new MetadataException($"{what} is no JSON object");
    }

    /// <summary>A property's string; null when it is missing or another kind, or no valid text.</summary>
    public static string? Text(JsonElement holder, string name) =>
        holder.TryGetProperty(name, out var value) ? JsonTexts.Of(value) : null;

    /// <summary>A property's time, ISO 8601 or as in HTTP headers, UTC unless it says otherwise; null when there is
    /// none.</summary>
    public static DateTimeOffset? Time(JsonElement holder, string name) =>
        DateTimeOffset.TryParse(
            Text(holder, name),
            CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal,
            out var time)
            ? time
            : null;
}
