namespace SpotServe.Seed.Templating;

/// <summary>The tests of the subset: value is name(arguments).</summary>
internal static class Checks
{
    private static readonly HashSet<string> WithArgument =
    [
        "divisibleby", "eq", "equalto", "ne", "lt", "lessthan", "le", "gt", "greaterthan", "ge", "in", "sameas",
    ];

    /// <summary>All names; any other is refused when the template is read.</summary>
    public static IReadOnlySet<string> Known { get; } = WithArgument.Concat(
    [
        "defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
        "sequence", "iterable", "callable", "odd", "even", "lower", "upper",
    ]).ToHashSet();

    /// <summary>Whether the argument may stand without brackets, as in "is divisibleby 2".</summary>
    public static bool TakesArgument(string name) => WithArgument.Contains(name);

    /// <exception cref="TemplateException">The value or the arguments do not fit, or there is no such
    /// test.</exception>
    public static bool Holds(string name, Value value, CallArguments arguments) => name switch
    {
        "defined" => value is not UndefinedValue,
        "undefined" => value is UndefinedValue,
        "none" => value is NoneValue,
        "boolean" => value is BooleanValue,
        "true" => value == BooleanValue.True,
        "false" => value == BooleanValue.False,
        "integer" => value is IntegerValue,
        "float" => value is FloatValue,
        "number" => value is IntegerValue or FloatValue or BooleanValue,
        "string" => value is TextValue,
        "mapping" => value is MapValue,
        // Texts and mappings count as sequences in Python's engine too: they have a length and items.
        "sequence" => value is ListValue or TextValue or MapValue or UndefinedValue,
        "iterable" => value is ListValue or TextValue or MapValue or UndefinedValue,
        "callable" => value is FunctionValue,
        "odd" => Integer(value, arguments) % 2 != 0,
        "even" => Integer(value, arguments) % 2 == 0,
        "lower" => value is TextValue lower && TextMethods.IsOfKind("islower", lower.Value) == BooleanValue.True,
        "upper" => value is TextValue upper && TextMethods.IsOfKind("isupper", upper.Value) == BooleanValue.True,
        "divisibleby" => Integer(arguments.Need(0, "num"), arguments) is not 0 and var divisor
            ? Integer(value, arguments) % divisor == 0
            : throw arguments.Error("cannot divide by zero"),
        "eq" or "equalto" => Compare("==", value, arguments),
        "ne" => Compare("!=", value, arguments),
        "lt" or "lessthan" => Compare("<", value, arguments),
        "le" => Compare("<=", value, arguments),
        "gt" or "greaterthan" => Compare(">", value, arguments),
        "ge" => Compare(">=", value, arguments),
        "in" => Compare("in", value, arguments),
        "sameas" => value.GetType() == arguments.Need(0, "other").GetType() && Compare("==", value, arguments),
        _ => throw arguments.Error($"is not known: '{name}'"),
    };

    private static bool Compare(string text, Value value, CallArguments arguments) =>
        Arithmetic.Holds(text, value, arguments.Need(0, "other"), arguments.Line);

    private static long Integer(Value value, CallArguments arguments) => value switch
    {
        IntegerValue integer => integer.Value,
        BooleanValue boolean => boolean.Value ? 1 : 0,
        _ => throw arguments.Error($"needs an integer, not {value.TypeName}"),
    };
}
