namespace SpotServe.Seed.Templating;

/// <summary>What a function, method, filter or test was called with.</summary>
/// <param name="callee">Its name, for complaints.</param>
internal sealed class CallArguments(
    string callee,
    int line,
    TemplateBudget budget,
    IReadOnlyList<Value> positional,
    IReadOnlyDictionary<string, Value> named)
{
    public int Line => line;

    public TemplateBudget Budget => budget;

    public IReadOnlyList<Value> Positional => positional;

    public IReadOnlyDictionary<string, Value> Named => named;

    /// <summary>The argument at an index or of a name; null when it was left out.</summary>
    public Value? Find(int index, string name) =>
        index < positional.Count ? positional[index] : named.GetValueOrDefault(name);

    public Value Need(int index, string name) =>
        Find(index, name) ?? throw Error($"needs an argument '{name}'");

    public string NeedText(int index, string name) => Need(index, name) is TextValue text
        ? text.Value
        : throw Error($"needs a string as '{name}', not {Need(index, name).TypeName}");

    public string? FindText(int index, string name) =>
        Find(index, name) is null or NoneValue ? null : NeedText(index, name);

    public long FindInteger(int index, string name, long fallback) => Find(index, name) switch
    {
        null or NoneValue => fallback,
        IntegerValue integer => integer.Value,
        BooleanValue boolean => boolean.Value ? 1 : 0,
        var other => throw Error($"needs an integer as '{name}', not {other.TypeName}"),
    };

    public bool FindFlag(int index, string name, bool fallback) => Find(index, name)?.IsTrue ?? fallback;

    /// <summary>A new text, charged to the rendering's budget.</summary>
    public Value Text(string text)
    {
        budget.Charge(text.Length, line);
        return Value.Of(text);
    }

    public Value List(List<Value> items)
    {
        budget.Charge(items.Count, line);
        return new ListValue(items);
    }

    public TemplateException Error(string message) => new(line, $"{callee} {message}");

    /// <summary>The values that a loop over a value sees.</summary>
    public IReadOnlyList<Value> Iterate(Value value) => Iteration.Of(value, line, budget);
}

/// <summary>What a loop over a value sees: a list's items, a mapping's keys, a text's characters.</summary>
internal static class Iteration
{
    public static IReadOnlyList<Value> Of(Value value, int line, TemplateBudget budget)
    {
        switch (value)
        {
            case ListValue list:
                return list.Items;
            case MapValue map:
                return [.. map.Members.Keys];
            case UndefinedValue:
                return [];
            case TextValue text:
                budget.Charge(text.Value.Length, line);
                return [.. text.Value.EnumerateRunes().Select(rune => Value.Of(rune.ToString()))];
            default:
                throw new TemplateException(line, $"{value.TypeName} cannot be iterated");
        }
    }
}
