namespace SpotServe.Seed.Templating;

/// <summary>Computes expressions in a scope. One rendering owns it.</summary>
internal sealed class Evaluator(TemplateBudget budget)
{
    /// <exception cref="TemplateException">The expression has no value, or the budget is spent.</exception>
    public Value Evaluate(Expression expression, Scope scope)
    {
        budget.Charge(1, expression.Line);
        budget.Enter(expression.Line);
        var value = expression switch
        {
            Expression.Literal literal => literal.Value,
            Expression.Name name => scope.Find(name.Text) ?? new UndefinedValue(name.Text),
            Expression.ListOf list => new ListValue(
                [.. list.Items.Select(item => Evaluate(item, scope))], list.IsTuple),
            Expression.MapOf map => EvaluateMap(map, scope),
            Expression.Member member => Members.Get(Evaluate(member.Subject, scope), member.Text, member.Line),
            Expression.Item item => Members.Item(
                Evaluate(item.Subject, scope), Evaluate(item.Key, scope), item.Line),
            Expression.Slice slice => EvaluateSlice(slice, scope),
            Expression.Call call => EvaluateCall(call, scope),
            Expression.Filter filter => Filter(
                (filter.Line, filter.Text, filter.Arguments), Evaluate(filter.Subject, scope), scope),
            Expression.Check check => Value.Of(Checks.Holds(
                check.Text,
                Evaluate(check.Subject, scope),
                Bind($"the test '{check.Text}'", check.Line, check.Arguments, scope))),
            Expression.Unary unary => Arithmetic.Negate(unary.Text, Evaluate(unary.Operand, scope), unary.Line),
            Expression.Binary binary => EvaluateBinary(binary, scope),
            Expression.Comparison comparison => EvaluateComparison(comparison, scope),
            Expression.Conditional conditional => EvaluateConditional(conditional, scope),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        budget.Leave();
        return value;
    }

    public Value Filter((int Line, string Name, Arguments Arguments) filter, Value subject, Scope scope) =>
        Filters.Apply(
            filter.Name, subject, Bind($"the filter '{filter.Name}'", filter.Line, filter.Arguments, scope));

    private MapValue EvaluateMap(Expression.MapOf map, Scope scope)
    {
        var members = MapValue.NewMembers();
        foreach (var (key, value) in map.Members)
        {
            var name = Evaluate(key, scope);
            if (name is ListValue { IsTuple: false } or MapValue or UndefinedValue)
                throw new TemplateException(key.Line, $"{name.TypeName} cannot be the key of a mapping");
            members[name] = Evaluate(value, scope);
        }

        return new MapValue(members);
    }

    private Value EvaluateSlice(Expression.Slice slice, Scope scope)
    {
        var subject = Evaluate(slice.Subject, scope);
        return Slicing.Of(subject, Bound(slice.Start), Bound(slice.Stop), Bound(slice.Step), slice.Line, budget);

        long? Bound(Expression? bound) => bound is null ? null : Evaluate(bound, scope) switch
        {
            IntegerValue integer => integer.Value,
            NoneValue => null,
            var other => throw new TemplateException(
                bound.Line, $"a slice's bounds are integers, not {other.TypeName}"),
        };
    }

    private Value EvaluateCall(Expression.Call call, Scope scope)
    {
        if (call.Subject is Expression.Member member)
        {
            var subject = Evaluate(member.Subject, scope);
            var method = Bind($"the method '{member.Text}'", call.Line, call.Arguments, scope);
            return Methods.Call(member.Text, subject, method);
        }

        return Evaluate(call.Subject, scope) switch
        {
            FunctionValue function => function.Call(Bind($"'{function.Name}'", call.Line, call.Arguments, scope)),
            UndefinedValue undefined => throw new TemplateException(
                call.Line, $"'{undefined.Name}' is called and is not defined"),
            var other => throw new TemplateException(call.Line, $"{other.TypeName} cannot be called"),
        };
    }

    private CallArguments Bind(string callee, int line, Arguments arguments, Scope scope)
    {
        var positional = new Value[arguments.Positional.Count];
        for (var index = 0; index < positional.Length; index++)
            positional[index] = Evaluate(arguments.Positional[index], scope);
        var named = new Dictionary<string, Value>(arguments.Named.Count);
        foreach (var (name, value) in arguments.Named) named[name] = Evaluate(value, scope);
        return new CallArguments(callee, line, budget, positional, named);
    }

    private Value EvaluateBinary(Expression.Binary binary, Scope scope)
    {
        var left = Evaluate(binary.Left, scope);
        switch (binary.Text)
        {
            case "and":
                return left.IsTrue ? Evaluate(binary.Right, scope) : left;
            case "or":
                return left.IsTrue ? left : Evaluate(binary.Right, scope);
            case "~":
                var text = ValueText.Print(left) + ValueText.Print(Evaluate(binary.Right, scope));
                budget.Charge(text.Length, binary.Line);
                return Value.Of(text);
            default:
                return Arithmetic.Apply(binary.Text, left, Evaluate(binary.Right, scope), binary.Line, budget);
        }
    }

    private BooleanValue EvaluateComparison(Expression.Comparison comparison, Scope scope)
    {
        var left = Evaluate(comparison.First, scope);
        foreach (var (text, next) in comparison.Rest)
        {
            var right = Evaluate(next, scope);
            if (!Arithmetic.Holds(text, left, right, comparison.Line)) return BooleanValue.False;
            left = right;
        }

        return BooleanValue.True;
    }

    private Value EvaluateConditional(Expression.Conditional conditional, Scope scope)
    {
        if (Evaluate(conditional.Condition, scope).IsTrue) return Evaluate(conditional.Then, scope);
        return conditional.Otherwise is null
            ? new UndefinedValue("the else of an if")
            : Evaluate(conditional.Otherwise, scope);
    }
}
