namespace SpotServe.Seed.Templating;

/// <summary>The filters that go over a sequence's items.</summary>
internal static class Sequences
{
    /// <summary>map('filter', arguments) or map(attribute='path', default=value).</summary>
    public static Value Map(Value value, CallArguments arguments)
    {
        var items = arguments.Iterate(value);
        if (arguments.Named.ContainsKey("attribute"))
        {
            var path = arguments.NeedText(int.MaxValue, "attribute");
            var fallback = arguments.Find(int.MaxValue, "default");
            return arguments.List([.. items.Select(item => Attribute(item, path, arguments) switch
            {
                UndefinedValue missing => fallback ?? missing,
                var found => found,
            })]);
        }

        var name = arguments.NeedText(0, "filter");
        var inner = Rest(arguments, 1);
        return arguments.List([.. items.Select(item => Filters.Apply(name, item, inner))]);
    }

    /// <summary>select('test', arguments): the items that the test holds for.</summary>
    public static Value Select(Value value, CallArguments arguments, bool wanted)
    {
        var test = arguments.FindText(0, "test");
        var inner = Rest(arguments, 1);
        return arguments.List(
            [.. arguments.Iterate(value).Where(item => Holds(test, item, inner) == wanted)]);
    }

    /// <summary>selectattr('path', 'test', arguments).</summary>
    public static Value SelectByAttribute(Value value, CallArguments arguments, bool wanted)
    {
        var path = arguments.NeedText(0, "attribute");
        var test = arguments.FindText(1, "test");
        var inner = Rest(arguments, 2);
        return arguments.List(
            [.. arguments.Iterate(value).Where(
                item => Holds(test, Attribute(item, path, arguments), inner) == wanted)]);
    }

    public static Value Sort(Value value, CallArguments arguments)
    {
        var isReversed = arguments.FindFlag(0, "reverse", false);
        var ignoresCase = !arguments.FindFlag(1, "case_sensitive", false);
        var path = arguments.FindText(2, "attribute");
        return arguments.List(Sorted(arguments.Iterate(value), Key, isReversed, arguments));

        Value Key(Value item)
        {
            var key = path is null ? item : Attribute(item, path, arguments);
            return ignoresCase && key is TextValue text ? Value.Of(text.Value.ToLowerInvariant()) : key;
        }
    }

    /// <summary>The members of a mapping as pairs, by key or by value.</summary>
    public static Value SortMap(Value value, CallArguments arguments)
    {
        if (value is not MapValue map) throw arguments.Error($"needs a mapping, not {value.TypeName}");
        var ignoresCase = !arguments.FindFlag(0, "case_sensitive", false);
        var place = (arguments.FindText(1, "by") ?? "key") == "value" ? 1 : 0;
        var pairs = ((ListValue)Methods.Items(map, arguments)).Items;
        return arguments.List(Sorted(pairs, Key, arguments.FindFlag(2, "reverse", false), arguments));

        Value Key(Value pair)
        {
            var key = ((ListValue)pair).Items[place];
            return ignoresCase && key is TextValue text ? Value.Of(text.Value.ToLowerInvariant()) : key;
        }
    }

    /// <summary>Pairs of a member's value and the items that have it, by that value.</summary>
    public static Value GroupBy(Value value, CallArguments arguments)
    {
        var path = arguments.NeedText(0, "attribute");
        var sorted = Sorted(arguments.Iterate(value), Key, isReversed: false, arguments);
        var groups = new List<Value>();
        foreach (var group in sorted.GroupBy(Key, ValueComparison.Equality))
            groups.Add(new ListValue([group.Key, new ListValue([.. group])], isTuple: true));
        return arguments.List(groups);

        Value Key(Value item) => Attribute(item, path, arguments);
    }

    public static Value Unique(Value value, CallArguments arguments)
    {
        var ignoresCase = !arguments.FindFlag(0, "case_sensitive", false);
        var path = arguments.FindText(1, "attribute");
        return arguments.List(
            [.. arguments.Iterate(value).DistinctBy(Key, ValueComparison.Equality)]);

        Value Key(Value item)
        {
            var key = path is null ? item : Attribute(item, path, arguments);
            return ignoresCase && key is TextValue text ? Value.Of(text.Value.ToLowerInvariant()) : key;
        }
    }

    /// <param name="sign">1: the largest; -1: the smallest.</param>
    public static Value Extreme(Value value, CallArguments arguments, int sign)
    {
        Value? best = null;
        foreach (var item in arguments.Iterate(value))
        {
            if (best is null || Compare(item, best, arguments) * sign > 0) best = item;
        }

        return best ?? new UndefinedValue("the largest or smallest of nothing");
    }

    public static Value Sum(Value value, CallArguments arguments)
    {
        var path = arguments.FindText(0, "attribute");
        var sum = arguments.Find(1, "start") ?? Value.Of(0L);
        foreach (var item in arguments.Iterate(value))
        {
            var term = path is null ? item : Attribute(item, path, arguments);
            sum = Arithmetic.Apply("+", sum, term, arguments.Line, arguments.Budget);
        }

        return sum;
    }

    /// <summary>A member by a path such as "function.name"; undefined where one on the way does not exist.</summary>
    public static Value Attribute(Value item, string path, CallArguments arguments)
    {
        foreach (var part in path.Split('.'))
        {
            if (item is UndefinedValue) return item;
            item = long.TryParse(part, out var index)
                ? Members.Item(item, Value.Of(index), arguments.Line)
                : Members.Get(item, part, arguments.Line);
        }

        return item;
    }

    private static bool Holds(string? test, Value item, CallArguments arguments) =>
        test is null ? item.IsTrue : Checks.Holds(test, item, arguments);

    private static List<Value> Sorted(
        IEnumerable<Value> items, Func<Value, Value> key, bool isReversed, CallArguments arguments)
    {
        var comparer = Comparer<Value>.Create((left, right) => Compare(left, right, arguments));
        return isReversed ? [.. items.OrderByDescending(key, comparer)] : [.. items.OrderBy(key, comparer)];
    }

    private static int Compare(Value left, Value right, CallArguments arguments) =>
        ValueComparison.Compare(left, right)
            ?? throw arguments.Error($"cannot order {left.TypeName} and {right.TypeName}");

    private static CallArguments Rest(CallArguments arguments, int from) => new(
        "the filter or test in its arguments",
        arguments.Line,
        arguments.Budget,
        [.. arguments.Positional.Skip(from)],
        arguments.Named);
}
