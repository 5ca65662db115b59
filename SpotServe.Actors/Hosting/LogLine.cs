using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace SpotServe.Actors.Hosting;

/// <summary>One thing that is logged.</summary>
/// <param name="Area">See <see cref="LogLevels"/>.</param>
/// <param name="Source">The actor, say; null where the area says all.</param>
public sealed record LogLine(DateTimeOffset At, LogLevel Level, string Area, string? Source, string Message)
{
    /// <summary>Longest line as JSON, so that nobody on its way cuts it: what reads processes' output takes 4,096
    /// characters a line.</summary>
    public const int JsonCharactersMax = 4000;

    private const int FieldsMax = 32;
    private const int FieldCharactersMax = 256;

    /// <summary>Of an escaped character, at most.</summary>
    private const int EscapedMax = 6;

    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What the message's template names.</summary>
    public IReadOnlyList<KeyValuePair<string, object?>> Fields { get; init; } = [];

    public Exception? Error { get; init; }

    public string In(LogFormat format) => format == LogFormat.Json ? Json() : Text();

    private string Text()
    {
        var source = Source is null ? "" : $"[{Source}] ";
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"{At.UtcDateTime:yyyy-MM-dd HH:mm:ss.fff} {Level} {Area}: {source}{Message}");
        return Error is null ? text : $"{text}\n{Error}";
    }

    /// <summary>Whole if it fits, else without what is long: fields, then the ends of error and message.</summary>
    private string Json()
    {
        var whole = Json(int.MaxValue, withFields: true);
        if (whole.Length <= JsonCharactersMax) return whole;
        var shorter = Json(JsonCharactersMax / 3, withFields: false);
        return shorter.Length <= JsonCharactersMax
            ? shorter
            : Json((JsonCharactersMax / 3 / EscapedMax) - (FieldCharactersMax / 2), withFields: false);
    }

    private string Json(int charactersMax, bool withFields)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer, Writing))
        {
            json.WriteStartObject();
            json.WriteString("time", At.UtcDateTime);
            json.WriteString("level", Level.ToString().ToLowerInvariant());
            json.WriteString("area", Area);
            if (Source is not null) json.WriteString("source", Short(Source, FieldCharactersMax));
            json.WriteString("message", Short(Message, charactersMax));
            if (withFields && Fields.Count > 0) WriteFields(json);
            if (Error is not null) json.WriteString("error", Short(Error.ToString(), charactersMax));
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private void WriteFields(Utf8JsonWriter json)
    {
        json.WriteStartObject("fields");
        // Where a name stands twice, readers of JSON would see one of them.
        foreach (var (name, value) in Fields.DistinctBy(field => field.Key).Take(FieldsMax))
        {
            json.WritePropertyName(name);
            WriteValue(json, value);
        }

        json.WriteEndObject();
    }

    private static void WriteValue(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null:
                json.WriteNullValue();
                break;
            case bool truth:
                json.WriteBooleanValue(truth);
                break;
            case double number when double.IsFinite(number):
                json.WriteNumberValue(number);
                break;
            case sbyte or byte or short or ushort or int or uint or long:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
            case IFormattable text:
                json.WriteStringValue(Short(text.ToString(null, CultureInfo.InvariantCulture), FieldCharactersMax));
                break;
            default:
                json.WriteStringValue(Short(value.ToString() ?? "", FieldCharactersMax));
                break;
        }
    }

    /// <summary>Never ends within a surrogate pair: the half of one is no text.</summary>
    private static string Short(string text, int most)
    {
        if (text.Length <= most) return text;
        var end = char.IsHighSurrogate(text[most - 1]) ? most - 1 : most;
        return string.Create(CultureInfo.InvariantCulture, $"{text.AsSpan(0, end)} [and {text.Length - end} more]");
    }
}
