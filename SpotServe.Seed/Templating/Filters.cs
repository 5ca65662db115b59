using System.Globalization;

namespace SpotServe.Seed.Templating;

/// <summary>The filters of the subset: value | name(arguments).</summary>
internal static class Filters
{
    private static readonly Dictionary<string, Func<Value, CallArguments, Value>> Table = new()
    {
        ["abs"] = Abs,
        ["attr"] = (value, arguments) => Members.Get(value, arguments.NeedText(0, "name"), arguments.Line),
        ["capitalize"] = (value, arguments) => arguments.Text(TextMethods.Capitalize(ValueText.Print(value))),
        ["count"] = Length,
        ["d"] = Default,
        ["default"] = Default,
        ["dictsort"] = Sequences.SortMap,
        ["e"] = Escape,
        ["escape"] = Escape,
        ["first"] = (value, arguments) => arguments.Iterate(value) is [var first, ..]
            ? first
            : new UndefinedValue("the first of nothing"),
        ["float"] = (value, arguments) => Float(value, arguments),
        ["groupby"] = Sequences.GroupBy,
        ["indent"] = Indent,
        ["int"] = Integer,
        ["items"] = (value, arguments) => value switch
        {
            MapValue map => Methods.Items(map, arguments),
            UndefinedValue => new ListValue([]),
            _ => throw arguments.Error($"needs a mapping, not {value.TypeName}"),
        },
        ["join"] = Join,
        ["last"] = (value, arguments) => arguments.Iterate(value) is [.., var last]
            ? last
            : new UndefinedValue("the last of nothing"),
        ["length"] = Length,
        ["list"] = (value, arguments) => arguments.List([.. arguments.Iterate(value)]),
        ["lower"] = (value, arguments) => arguments.Text(ValueText.Print(value).ToLowerInvariant()),
        ["map"] = Sequences.Map,
        ["max"] = (value, arguments) => Sequences.Extreme(value, arguments, sign: 1),
        ["min"] = (value, arguments) => Sequences.Extreme(value, arguments, sign: -1),
        ["reject"] = (value, arguments) => Sequences.Select(value, arguments, wanted: false),
        ["rejectattr"] = (value, arguments) => Sequences.SelectByAttribute(value, arguments, wanted: false),
        ["replace"] = (value, arguments) => TextMethods.Replace(
            ValueText.Print(value),
            arguments.NeedText(0, "old"),
            arguments.NeedText(1, "new"),
            arguments.FindInteger(2, "count", -1),
            arguments),
        ["reverse"] = Reverse,
        ["round"] = Round,
        ["safe"] = (value, _) => value,
        ["select"] = (value, arguments) => Sequences.Select(value, arguments, wanted: true),
        ["selectattr"] = (value, arguments) => Sequences.SelectByAttribute(value, arguments, wanted: true),
        ["sort"] = Sequences.Sort,
        ["string"] = (value, arguments) => arguments.Text(ValueText.Print(value)),
        ["sum"] = Sequences.Sum,
        ["title"] = (value, arguments) => arguments.Text(TextMethods.Title(ValueText.Print(value))),
        ["tojson"] = JsonWriting.ToJson,
        ["trim"] = (value, arguments) => arguments.Text(TextMethods.Strip(
            ValueText.Print(value), arguments.FindText(0, "chars"), left: true, right: true)),
        ["unique"] = Sequences.Unique,
        ["upper"] = (value, arguments) => arguments.Text(ValueText.Print(value).ToUpperInvariant()),
        ["wordcount"] = (value, _) =>
            Value.Of((long)TextMethods.Split(ValueText.Print(value), null, -1, fromRight: false).Count),
    };

    /// <summary>All names; any other is refused when the template is read.</summary>
    public static IReadOnlySet<string> Known { get; } = Table.Keys.ToHashSet();

    /// <exception cref="TemplateException">The value or the arguments do not fit, or there is no such
    /// filter.</exception>
    public static Value Apply(string name, Value value, CallArguments arguments)
    {
        // A filter's name may also come from an argument, as in map('upper').
        if (!Table.TryGetValue(name, out var filter)) throw arguments.Error($"is not known: '{name}'");
        return filter(value, arguments);
    }

    private static Value Abs(Value value, CallArguments arguments) => value switch
    {
        IntegerValue { Value: > long.MinValue } integer => Value.Of(Math.Abs(integer.Value)),
        FloatValue real => new FloatValue(Math.Abs(real.Value)),
        _ => throw arguments.Error($"needs a number, not {value.TypeName}"),
    };

    private static Value Default(Value value, CallArguments arguments)
    {
        var isMissing = value is UndefinedValue || (arguments.FindFlag(1, "boolean", false) && !value.IsTrue);
        return isMissing ? arguments.Find(0, "default_value") ?? Value.Of("") : value;
    }

    private static Value Escape(Value value, CallArguments arguments) => arguments.Text(
        ValueText.Print(value)
            .Replace("&", "&amp;", StringComparison.Ordinal)
            .Replace(">", "&gt;", StringComparison.Ordinal)
            .Replace("<", "&lt;", StringComparison.Ordinal)
            .Replace("'", "&#39;", StringComparison.Ordinal)
            .Replace("\"", "&#34;", StringComparison.Ordinal));

    private static FloatValue Float(Value value, CallArguments arguments)
    {
        var fallback = ValueComparison.Number(arguments.Find(0, "default") ?? Value.Of(0L)) ?? 0;
        if (ValueComparison.Number(value) is { } number) return new FloatValue(number);
        return new FloatValue(
            value is TextValue text && double.TryParse(
                text.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var parsed) ? parsed : fallback);
    }

    private static Value Integer(Value value, CallArguments arguments)
    {
        var fallback = arguments.FindInteger(0, "default", 0);
        if (value is IntegerValue) return value;
        var number = ValueComparison.Number(value);
        if (number is null && value is TextValue text)
        {
            var trimmed = text.Value.Trim();
            if (long.TryParse(trimmed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
                return Value.Of(whole);
            if (double.TryParse(trimmed, NumberStyles.Float, CultureInfo.InvariantCulture, out var real)) number = real;
        }

        return Value.Of(number is > -9e18 and < 9e18 ? (long)number : fallback);
    }

    private static Value Indent(Value value, CallArguments arguments)
    {
        var width = arguments.Find(0, "width") switch
        {
            null => "    ",
            TextValue text => text.Value,
            _ => new string(' ', (int)Math.Clamp(arguments.FindInteger(0, "width", 4), 0, 1000)),
        };
        var isFirst = arguments.FindFlag(1, "first", false);
        var withBlank = arguments.FindFlag(2, "blank", false);
        var lines = ValueText.Print(value).Split('\n');
        arguments.Budget.Charge((long)lines.Length * width.Length, arguments.Line);
        for (var index = isFirst ? 0 : 1; index < lines.Length; index++)
            if (withBlank || lines[index].Length > 0) lines[index] = width + lines[index];
        return arguments.Text(string.Join('\n', lines));
    }

    private static Value Join(Value value, CallArguments arguments)
    {
        var items = arguments.Iterate(value);
        if (arguments.FindText(1, "attribute") is { } path)
            items = [.. items.Select(item => Sequences.Attribute(item, path, arguments))];
        return TextMethods.Join(arguments.FindText(0, "d") ?? "", items, arguments);
    }

    private static Value Length(Value value, CallArguments arguments) => Value.Of(value switch
    {
        ListValue list => list.Items.Count,
        MapValue map => map.Members.Count,
        TextValue text => text.Value.EnumerateRunes().LongCount(),
        UndefinedValue => 0L,
        _ => throw arguments.Error($"needs something with a length, not {value.TypeName}"),
    });

    private static Value Reverse(Value value, CallArguments arguments) => value is TextValue
        ? arguments.Text(string.Concat(arguments.Iterate(value).Reverse().Select(ValueText.Print)))
        : arguments.List([.. arguments.Iterate(value).Reverse()]);

    private static FloatValue Round(Value value, CallArguments arguments)
    {
        var number = ValueComparison.Number(value) ?? throw arguments.Error($"needs a number, not {value.TypeName}");
        var digits = Math.Clamp(arguments.FindInteger(0, "precision", 0), -15, 15);
        var scale = Math.Pow(10, digits);
        return new FloatValue((arguments.FindText(1, "method") ?? "common") switch
        {
            "common" => digits >= 0 ? Math.Round(number, (int)digits) : Math.Round(number * scale) / scale,
            "ceil" => Math.Ceiling(number * scale) / scale,
            "floor" => Math.Floor(number * scale) / scale,
            var other => throw arguments.Error($"knows common, ceil and floor, not '{other}'"),
        });
    }
}
