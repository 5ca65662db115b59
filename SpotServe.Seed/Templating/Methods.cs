namespace SpotServe.Seed.Templating;

/// <summary>The methods of texts, lists, mappings and loops that templates may call.</summary>
internal static class Methods
{
    /// <summary>All names; any other is refused when the template is read.</summary>
    public static IReadOnlySet<string> Known { get; } = new HashSet<string>
    {
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "removeprefix",
        "removesuffix", "upper", "lower", "title", "capitalize", "replace", "join", "find", "rfind", "count", "index",
        "isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower", "isnumeric", "isdecimal", "zfill",
        "get", "items", "keys", "values", "cycle",
    };

    /// <exception cref="TemplateException">The value has no such method, or the arguments do not fit.</exception>
    public static Value Call(string name, Value subject, CallArguments arguments)
    {
        switch (subject)
        {
            case TextValue text:
                return OfText(name, text.Value, arguments) ?? throw Missing();
            case MapValue map:
                return OfMap(name, map, arguments) ?? throw Missing();
            case ListValue list when name == "index":
                var at = list.Items.ToList().FindIndex(
                    item => ValueComparison.AreEqual(item, arguments.Need(0, "value")));
                return at >= 0 ? Value.Of((long)at) : throw arguments.Error("did not find the value in the list");
            case ListValue list when name == "count":
                return Value.Of((long)list.Items.Count(
                    item => ValueComparison.AreEqual(item, arguments.Need(0, "value"))));
            case LoopValue loop when name == "cycle" && arguments.Positional.Count > 0:
                return arguments.Positional[loop.Index % arguments.Positional.Count];
            case NamespaceValue space when space.Members.GetValueOrDefault(name) is FunctionValue function:
                return function.Call(arguments);
            case UndefinedValue undefined:
                throw new TemplateException(
                    arguments.Line, $"'{undefined.Name}' is not defined, so it has no method '{name}'");
            default:
                throw Missing();
        }

        TemplateException Missing() => new(arguments.Line, $"{subject.TypeName} has no method '{name}'");
    }

    private static Value? OfMap(string name, MapValue map, CallArguments arguments) => name switch
    {
        "get" => map.Members.TryGetValue(arguments.Need(0, "key"), out var value)
            ? value
            : arguments.Find(1, "default") ?? NoneValue.Instance,
        "items" => Items(map, arguments),
        "keys" => arguments.List([.. map.Members.Keys]),
        "values" => arguments.List([.. map.Members.Values]),
        _ => null,
    };

    /// <summary>Pairs of key and value.</summary>
    public static Value Items(MapValue map, CallArguments arguments) => arguments.List(
        [.. map.Members.Select(member => new ListValue([member.Key, member.Value], isTuple: true))]);

    private static Value? OfText(string name, string text, CallArguments arguments)
    {
        arguments.Budget.Charge(text.Length, arguments.Line);
        return name switch
        {
            "strip" => Value.Of(TextMethods.Strip(text, arguments.FindText(0, "chars"), left: true, right: true)),
            "lstrip" => Value.Of(TextMethods.Strip(text, arguments.FindText(0, "chars"), left: true, right: false)),
            "rstrip" => Value.Of(TextMethods.Strip(text, arguments.FindText(0, "chars"), left: false, right: true)),
            "split" => Split(text, arguments, fromRight: false),
            "rsplit" => Split(text, arguments, fromRight: true),
            "splitlines" => new ListValue(
                [.. TextMethods.SplitLines(text, arguments.FindFlag(0, "keepends", false)).Select(Value.Of)]),
            "startswith" => Value.Of(Affixes(arguments).Any(part => text.StartsWith(part, StringComparison.Ordinal))),
            "endswith" => Value.Of(Affixes(arguments).Any(part => text.EndsWith(part, StringComparison.Ordinal))),
            "removeprefix" => Value.Of(
                arguments.NeedText(0, "prefix") is var prefix && text.StartsWith(prefix, StringComparison.Ordinal)
                    ? text[prefix.Length..]
                    : text),
            "removesuffix" => Value.Of(
                arguments.NeedText(0, "suffix") is var suffix && text.EndsWith(suffix, StringComparison.Ordinal)
                    ? text[..^suffix.Length]
                    : text),
            "upper" => Value.Of(text.ToUpperInvariant()),
            "lower" => Value.Of(text.ToLowerInvariant()),
            "title" => Value.Of(TextMethods.Title(text)),
            "capitalize" => Value.Of(TextMethods.Capitalize(text)),
            "replace" => TextMethods.Replace(
                text,
                arguments.NeedText(0, "old"),
                arguments.NeedText(1, "new"),
                arguments.FindInteger(2, "count", -1),
                arguments),
            "join" => TextMethods.Join(text, arguments.Iterate(arguments.Need(0, "iterable")), arguments),
            "find" => Value.Of((long)text.IndexOf(arguments.NeedText(0, "sub"), StringComparison.Ordinal)),
            "rfind" => Value.Of((long)text.LastIndexOf(arguments.NeedText(0, "sub"), StringComparison.Ordinal)),
            "index" => text.IndexOf(arguments.NeedText(0, "sub"), StringComparison.Ordinal) is >= 0 and var at
                ? Value.Of((long)at)
                : throw arguments.Error("did not find the text"),
            "count" => Value.Of(TextMethods.Count(text, arguments.NeedText(0, "sub"))),
            "zfill" => TextMethods.FillZeros(text, arguments.FindInteger(0, "width", 0), arguments),
            _ => TextMethods.IsOfKind(name, text),
        };
    }

    private static IEnumerable<string> Affixes(CallArguments arguments) => arguments.Need(0, "prefix") switch
    {
        TextValue text => [text.Value],
        ListValue list => list.Items.OfType<TextValue>().Select(item => item.Value),
        var other => throw arguments.Error($"needs a string, not {other.TypeName}"),
    };

    private static ListValue Split(string text, CallArguments arguments, bool fromRight)
    {
        var separator = arguments.FindText(0, "sep");
        if (separator?.Length == 0) throw arguments.Error("needs a separator that is not empty");
        var parts = TextMethods.Split(text, separator, arguments.FindInteger(1, "maxsplit", -1), fromRight);
        return new ListValue([.. parts.Select(Value.Of)]);
    }
}
