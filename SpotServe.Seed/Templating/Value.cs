using System.Diagnostics.CodeAnalysis;

namespace SpotServe.Seed.Templating;

/// <summary>A value in a template: what Python has for it, as far as published templates use it. Immutable, but for
/// <see cref="NamespaceValue"/>.</summary>
internal abstract class Value
{
    /// <summary>How complaints call it.</summary>
    public abstract string TypeName { get; }

    /// <summary>Whether an if takes it for true.</summary>
    public abstract bool IsTrue { get; }

    public static Value Of(bool value) => value ? BooleanValue.True : BooleanValue.False;

    public static Value Of(long value) => new IntegerValue(value);

    public static Value Of(string value) => new TextValue(value);
}

internal sealed class NoneValue : Value
{
    public static NoneValue Instance { get; } = new();

    public override string TypeName => "none";

    public override bool IsTrue => false;
}

/// <summary>A name or member that does not exist. It may be asked whether it is defined, printed as nothing and
/// iterated as nothing; anything else is an error that names it.</summary>
internal sealed class UndefinedValue(string name) : Value
{
    public string Name { get; } = name;

    public override string TypeName => "undefined";

    public override bool IsTrue => false;
}

internal sealed class BooleanValue : Value
{
    private BooleanValue(bool value) => Value = value;

    public static BooleanValue True { get; } = new(true);

    public static BooleanValue False { get; } = new(false);

    public bool Value { get; }

    public override string TypeName => "boolean";

    public override bool IsTrue => Value;
}

internal sealed class IntegerValue(long value) : Value
{
    public long Value { get; } = value;

    public override string TypeName => "integer";

    public override bool IsTrue => Value != 0;
}

internal sealed class FloatValue(double value) : Value
{
    public double Value { get; } = value;

    public override string TypeName => "float";

    public override bool IsTrue => Value != 0;
}

internal sealed class TextValue(string value) : Value
{
    public string Value { get; } = value;

    public override string TypeName => "string";

    public override bool IsTrue => Value.Length > 0;
}

/// <param name="isTuple">Python prints tuples with round brackets; otherwise they are lists here.</param>
internal sealed class ListValue(IReadOnlyList<Value> items, bool isTuple = false) : Value
{
    public IReadOnlyList<Value> Items { get; } = items;

    public bool IsTuple { get; } = isTuple;

    public override string TypeName => IsTuple ? "tuple" : "list";

    public override bool IsTrue => Items.Count > 0;
}

/// <summary>A dictionary, in the order in which its members were put in.</summary>
internal sealed class MapValue(OrderedDictionary<Value, Value> members) : Value
{
    public OrderedDictionary<Value, Value> Members { get; } = members;

    public override string TypeName => "mapping";

    public override bool IsTrue => Members.Count > 0;

    public static OrderedDictionary<Value, Value> NewMembers() => new(ValueComparison.Equality);

    public bool TryGet(string name, [MaybeNullWhen(false)] out Value value) =>
        Members.TryGetValue(new TextValue(name), out value);
}

/// <summary>What namespace() makes: its members can be set from inner scopes.</summary>
internal sealed class NamespaceValue(Dictionary<string, Value> members) : Value
{
    public Dictionary<string, Value> Members { get; } = members;

    public override string TypeName => "namespace";

    public override bool IsTrue => true;
}

/// <summary>Something that can be called: a macro, a function, a method bound to its object.</summary>
internal sealed class FunctionValue(string name, Func<CallArguments, Value> call) : Value
{
    public string Name { get; } = name;

    public Func<CallArguments, Value> Call { get; } = call;

    public override string TypeName => "function";

    public override bool IsTrue => true;
}
