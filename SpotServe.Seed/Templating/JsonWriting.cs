using System.Globalization;
using System.Text;
using System.Text.Json;
using SpotServe.Actors.ModelFolder;

namespace SpotServe.Seed.Templating;

/// <summary>Values from JSON, and to JSON as Python's json.dumps writes it without ensure_ascii.</summary>
internal static class JsonWriting
{
    /// <exception cref="TemplateException">A number is too large for any type here.</exception>
    /// <exception cref="FormatException">A text is no valid Unicode.</exception>
    public static Value FromJson(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var members = MapValue.NewMembers();
                foreach (var member in element.EnumerateObject())
                    members[Value.Of(member.Name)] = FromJson(member.Value);
                return new MapValue(members);
            case JsonValueKind.Array:
                return new ListValue([.. element.EnumerateArray().Select(FromJson)]);
            case JsonValueKind.String:
                return Value.Of(JsonTexts.Of(element)
                    ?? throw new FormatException("A text holds half of a surrogate pair."));
            case JsonValueKind.Number:
                return element.TryGetInt64(out var whole) ? Value.Of(whole) : new FloatValue(element.GetDouble());
            case JsonValueKind.True:
                return BooleanValue.True;
            case JsonValueKind.False:
                return BooleanValue.False;
            default:
                return NoneValue.Instance;
        }
    }

    /// <summary>The filter tojson(indent, separators, sort_keys).</summary>
    public static Value ToJson(Value value, CallArguments arguments)
    {
        var indent = arguments.Find(int.MaxValue, "indent") ?? arguments.Find(0, "indent");
        var style = new Style(
            indent is null or NoneValue
                ? null
                : (int)Math.Clamp(arguments.FindInteger(0, "indent", 0), 0, 100),
            Separators(arguments, isItem: true) ?? (indent is null or NoneValue ? ", " : ","),
            Separators(arguments, isItem: false) ?? ": ",
            arguments.FindFlag(int.MaxValue, "sort_keys", false));
        var output = new StringBuilder();
        Write(value, style, 0, output, arguments);
        return Value.Of(output.ToString());
    }

    private static string? Separators(CallArguments arguments, bool isItem) =>
        arguments.Find(int.MaxValue, "separators") is ListValue { Items: [TextValue item, TextValue key] }
            ? (isItem ? item : key).Value
            : null;

    private static void Write(Value value, Style style, int depth, StringBuilder output, CallArguments arguments)
    {
        arguments.Budget.Charge(1, arguments.Line);
        arguments.Budget.Enter(arguments.Line);
        switch (value)
        {
            case NoneValue:
                output.Append("null");
                break;
            case BooleanValue boolean:
                output.Append(boolean.Value ? "true" : "false");
                break;
            case IntegerValue integer:
                output.Append(integer.Value);
                break;
            case FloatValue real:
                output.Append(OfFloat(real.Value));
                break;
            case TextValue text:
                arguments.Budget.Charge(text.Value.Length, arguments.Line);
                Quote(text.Value, output);
                break;
            case ListValue list:
                List<(string?, Value)> items = [.. list.Items.Select(item => ((string?)null, item))];
                WriteItems('[', ']', items, style, depth, output, arguments);
                break;
            case MapValue map:
                WriteItems('{', '}', Members(map, style, arguments), style, depth, output, arguments);
                break;
            default:
                throw arguments.Error($"cannot write {value.TypeName} as JSON");
        }

        arguments.Budget.Leave();
    }

    private static List<(string? Key, Value Value)> Members(MapValue map, Style style, CallArguments arguments)
    {
        var members = map.Members.Select(member => ((string?)Key(member.Key, arguments), member.Value));
        return style.SortsKeys
            ? [.. members.OrderBy(member => member.Item1, StringComparer.Ordinal)]
            : [.. members];
    }

    private static string Key(Value key, CallArguments arguments) => key switch
    {
        TextValue text => text.Value,
        IntegerValue integer => integer.Value.ToString(CultureInfo.InvariantCulture),
        BooleanValue boolean => boolean.Value ? "true" : "false",
        FloatValue real => OfFloat(real.Value),
        NoneValue => "null",
        _ => throw arguments.Error($"cannot write {key.TypeName} as a member's name"),
    };

    private static void WriteItems(
        char open,
        char close,
        List<(string? Key, Value Value)> items,
        Style style,
        int depth,
        StringBuilder output,
        CallArguments arguments)
    {
        output.Append(open);
        for (var index = 0; index < items.Count; index++)
        {
            if (index > 0) output.Append(style.ItemSeparator);
            BreakLine(style, depth + 1, output);
            if (items[index].Key is { } key)
            {
                Quote(key, output);
                output.Append(style.KeySeparator);
            }

            Write(items[index].Value, style, depth + 1, output, arguments);
        }

        if (items.Count > 0) BreakLine(style, depth, output);
        output.Append(close);
    }

    private static void BreakLine(Style style, int depth, StringBuilder output)
    {
        if (style.Indent is { } indent) output.Append('\n').Append(' ', indent * depth);
    }

    private static string OfFloat(double value) =>
        double.IsNaN(value) ? "NaN"
        : double.IsPositiveInfinity(value) ? "Infinity"
        : double.IsNegativeInfinity(value) ? "-Infinity"
        : ValueText.OfFloat(value);

    private static void Quote(string text, StringBuilder output)
    {
        output.Append('"');
        foreach (var character in text)
        {
            _ = character switch
            {
                '"' => output.Append("\\\""),
                '\\' => output.Append(@"\\"),
                '\n' => output.Append(@"\n"),
                '\r' => output.Append(@"\r"),
                '\t' => output.Append(@"\t"),
                '\b' => output.Append(@"\b"),
                '\f' => output.Append(@"\f"),
                < ' ' => output.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
                _ => output.Append(character),
            };
        }

        output.Append('"');
    }

    private sealed record Style(int? Indent, string ItemSeparator, string KeySeparator, bool SortsKeys);
}
