namespace SpotServe.Seed.Templating;

/// <summary>The functions that every template may call.</summary>
internal static class Functions
{
    private const int RangeMax = 1_000_000;

    /// <summary>Puts them into a scope.</summary>
    /// <param name="now">What strftime_now tells.</param>
    public static void AddTo(Scope scope, DateTimeOffset now)
    {
        Add(scope, "range", Range);
        Add(scope, "namespace", arguments => new NamespaceValue(new Dictionary<string, Value>(Given(arguments))));
        Add(scope, "dict", arguments =>
        {
            var members = MapValue.NewMembers();
            foreach (var (name, value) in Given(arguments)) members[Value.Of(name)] = value;
            return new MapValue(members);
        });
        Add(scope, "raise_exception", arguments =>
            throw new TemplateRefusalException(ValueText.Print(arguments.Need(0, "message"))));
        Add(scope, "strftime_now", arguments =>
            Value.Of(TimeFormat.Format(now, arguments.NeedText(0, "format"), arguments)));
    }

    private static void Add(Scope scope, string name, Func<CallArguments, Value> call) =>
        scope.Set(name, new FunctionValue(name, call));

    /// <summary>Members of a mapping given first, and named arguments.</summary>
    private static IEnumerable<KeyValuePair<string, Value>> Given(CallArguments arguments)
    {
        var first = arguments.Positional is [MapValue map, ..]
            ? map.Members.Select(member => KeyValuePair.Create(ValueText.Print(member.Key), member.Value))
            : [];
        return first.Where(member => !arguments.Named.ContainsKey(member.Key)).Concat(arguments.Named);
    }

    private static Value Range(CallArguments arguments)
    {
        var first = arguments.FindInteger(0, "start", 0);
        var (start, stop) = arguments.Positional.Count > 1 ? (first, arguments.FindInteger(1, "stop", 0)) : (0, first);
        var step = arguments.FindInteger(2, "step", 1);
        if (step == 0) throw arguments.Error("needs a step that is not zero");
        var count = step > 0
            ? ((Int128)stop - start + step - 1) / step
            : ((Int128)start - stop - step - 1) / -(Int128)step;
        if (count > RangeMax) throw arguments.Error($"makes {count:N0} numbers; the limit is {RangeMax:N0}");
        var numbers = new List<Value>();
        for (var index = 0; index < count; index++) numbers.Add(Value.Of(start + (index * step)));
        return arguments.List(numbers);
    }
}
