namespace SpotServe.Seed.Templating;

/// <summary>value.name and value[key]. What does not exist is undefined; a member of that is an error.</summary>
internal static class Members
{
    public static Value Get(Value subject, string name, int line) => subject switch
    {
        UndefinedValue undefined => throw new TemplateException(
            line, $"'{undefined.Name}' is not defined, so it has no member '{name}'"),
        MapValue map when map.TryGet(name, out var value) => value,
        NamespaceValue space when space.Members.TryGetValue(name, out var value) => value,
        LoopValue loop => loop.Find(name) ?? new UndefinedValue(name),
        _ => new UndefinedValue(name),
    };

    public static Value Item(Value subject, Value key, int line) => (subject, key) switch
    {
        (UndefinedValue undefined, _) => throw new TemplateException(
            line, $"'{undefined.Name}' is not defined, so it has no item {ValueText.Print(key)}"),
        (MapValue map, _) => map.Members.TryGetValue(key, out var value)
            ? value
            : new UndefinedValue(ValueText.Print(key)),
        (ListValue list, IntegerValue index) => At(list.Items.Count, index.Value) is { } at
            ? list.Items[at]
            : Missing(index.Value),
        (TextValue text, IntegerValue index) => Character(text.Value, index.Value),
        (_, TextValue name) => Get(subject, name.Value, line),
        _ => new UndefinedValue(ValueText.Print(key)),
    };

    private static Value Character(string text, long index)
    {
        if (!Slicing.HasPairs(text))
            return At(text.Length, index) is { } at ? Value.Of(text[at].ToString()) : Missing(index);
        var runes = text.EnumerateRunes().ToArray();
        return At(runes.Length, index) is { } place ? Value.Of(runes[place].ToString()) : Missing(index);
    }

    private static UndefinedValue Missing(long index) => new($"item {index}");

    /// <summary>Counted from the end where negative.</summary>
    private static int? At(int count, long index)
    {
        var at = index < 0 ? index + count : index;
        return at >= 0 && at < count ? (int)at : null;
    }
}

/// <summary>Python's slices of lists and texts.</summary>
internal static class Slicing
{
    public static Value Of(Value subject, long? start, long? stop, long? step, int line, TemplateBudget budget)
    {
        if (step == 0) throw new TemplateException(line, "a slice's step is zero");
        switch (subject)
        {
            case ListValue list:
                budget.Charge(list.Items.Count, line);
                return new ListValue(
                    [.. Indices(list.Items.Count, start, stop, step ?? 1).Select(index => list.Items[index])],
                    list.IsTuple);
            case TextValue text:
                budget.Charge(text.Value.Length, line);
                return Value.Of(Text(text.Value, start, stop, step ?? 1));
            default:
                throw new TemplateException(line, $"{subject.TypeName} cannot be sliced");
        }
    }

    /// <summary>Whether a text has characters that take two places in .NET and one in Python.</summary>
    public static bool HasPairs(string text) => text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF');

    private static string Text(string text, long? start, long? stop, long step)
    {
        if (!HasPairs(text))
            return string.Concat(Indices(text.Length, start, stop, step).Select(index => text[index]));
        var runes = text.EnumerateRunes().ToArray();
        return string.Concat(Indices(runes.Length, start, stop, step).Select(index => runes[index].ToString()));
    }

    private static IEnumerable<int> Indices(int count, long? start, long? stop, long step)
    {
        step = Math.Clamp(step, -count - 1L, count + 1L);
        var (low, high) = step > 0 ? (0L, (long)count) : (-1L, count - 1L);
        var first = start is { } s ? Math.Clamp(s < 0 ? s + count : s, low, high) : step > 0 ? low : high;
        var end = stop is { } e ? Math.Clamp(e < 0 ? e + count : e, low, high) : step > 0 ? high : low;
        for (var index = first; step > 0 ? index < end : index > end; index += step) yield return (int)index;
    }
}
