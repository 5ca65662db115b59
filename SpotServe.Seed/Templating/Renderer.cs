using System.Text;

namespace SpotServe.Seed.Templating;

/// <summary>Runs a template's statements and gathers their text. One rendering owns it.</summary>
internal sealed class Renderer(TemplateBudget budget)
{
    private readonly Evaluator _evaluator = new(budget);
    private int _loops;

    /// <summary>How a body ended.</summary>
    private enum Ending
    {
        Whole,
        Break,
        Continue,
    }

    public string Render(IReadOnlyList<Statement> statements, Scope scope)
    {
        var output = new StringBuilder();
        Run(statements, scope, output);
        return output.ToString();
    }

    private Ending Run(IReadOnlyList<Statement> statements, Scope scope, StringBuilder output)
    {
        foreach (var statement in statements)
        {
            budget.Charge(1, statement.Line);
            var ending = Run(statement, scope, output);
            if (ending != Ending.Whole) return ending;
        }

        return Ending.Whole;
    }

    private Ending Run(Statement statement, Scope scope, StringBuilder output)
    {
        switch (statement)
        {
            case Statement.Text text:
                Write(text.Value, text.Line, output);
                return Ending.Whole;
            case Statement.Output shown:
                Write(ValueText.Print(_evaluator.Evaluate(shown.Value, scope)), shown.Line, output);
                return Ending.Whole;
            case Statement.If branches:
                return RunIf(branches, scope, output);
            case Statement.For loop:
                return RunFor(loop, scope, output);
            case Statement.Set set:
                Assign(set.Target, _evaluator.Evaluate(set.Value, scope), scope);
                return Ending.Whole;
            case Statement.SetBlock block:
                Assign(block.Target, Value.Of(Filtered(block.Body, block.Filtering, scope)), scope);
                return Ending.Whole;
            case Statement.FilterBlock block:
                Write(Filtered(block.Body, block.Filtering, scope), block.Line, output);
                return Ending.Whole;
            case Statement.Macro macro:
                scope.Set(macro.Name, MacroOf(macro, scope));
                return Ending.Whole;
            case Statement.With with:
                var inner = new Scope(scope);
                foreach (var (name, value) in with.Names) inner.Set(name, _evaluator.Evaluate(value, scope));
                return Run(with.Body, inner, output);
            case Statement.Break:
                return Ending.Break;
            case Statement.Continue:
                return Ending.Continue;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private void Write(string text, int line, StringBuilder output)
    {
        if (output.Length + (long)text.Length > budget.OutputCharsMax)
        {
            throw new TemplateException(
                line, $"the text grows beyond {budget.OutputCharsMax:N0} characters, the limit");
        }

        output.Append(text);
    }

    private Ending RunIf(Statement.If branches, Scope scope, StringBuilder output)
    {
        foreach (var (condition, body) in branches.Branches)
        {
            if (condition is null || _evaluator.Evaluate(condition, scope).IsTrue) return Run(body, scope, output);
        }

        return Ending.Whole;
    }

    private Ending RunFor(Statement.For loop, Scope scope, StringBuilder output)
    {
        var items = Iteration.Of(_evaluator.Evaluate(loop.Items, scope), loop.Line, budget);
        if (loop.Condition is { } condition)
        {
            items = [.. items.Where(item =>
            {
                var trial = new Scope(scope);
                Assign(loop.Target, item, trial);
                return _evaluator.Evaluate(condition, trial).IsTrue;
            })];
        }

        if (items.Count == 0) return Run(loop.Otherwise, new Scope(scope), output);
        budget.Enter(loop.Line);
        _loops++;
        for (var index = 0; index < items.Count; index++)
        {
            budget.Charge(1, loop.Line);
            var turn = new Scope(scope);
            turn.Set("loop", new LoopValue(items, index, _loops - 1));
            Assign(loop.Target, items[index], turn);
            if (Run(loop.Body, turn, output) == Ending.Break) break;
        }

        _loops--;
        budget.Leave();
        return Ending.Whole;
    }

    private void Assign(Target target, Value value, Scope scope)
    {
        switch (target)
        {
            case Target.Name name:
                scope.Set(name.Text, value);
                break;
            case Target.Member member:
                if (scope.Find(member.Subject) is not NamespaceValue space)
                {
                    throw new TemplateException(
                        member.Line, $"'{member.Subject}' is no namespace, so its members cannot be set");
                }

                space.Members[member.Text] = value;
                break;
            case Target.Several several:
                var values = Iteration.Of(value, several.Line, budget);
                if (values.Count != several.Items.Count)
                {
                    throw new TemplateException(
                        several.Line, $"{values.Count} values do not go into {several.Items.Count} names");
                }

                for (var index = 0; index < values.Count; index++) Assign(several.Items[index], values[index], scope);
                break;
        }
    }

    private string Filtered(IReadOnlyList<Statement> body, Filtering filtering, Scope scope)
    {
        var inner = new Scope(scope);
        var text = new StringBuilder();
        Run(body, inner, text);
        budget.Charge(text.Length, body.Count == 0 ? 1 : body[0].Line);
        Value value = Value.Of(text.ToString());
        foreach (var filter in filtering.Filters) value = _evaluator.Filter(filter, value, inner);
        return ValueText.Print(value);
    }

    private FunctionValue MacroOf(Statement.Macro macro, Scope outer) => new(macro.Name, arguments =>
    {
        budget.Enter(arguments.Line);
        if (arguments.Positional.Count > macro.Parameters.Count)
        {
            throw arguments.Error(
                $"takes {macro.Parameters.Count} arguments and was given {arguments.Positional.Count}");
        }

        var scope = new Scope(outer);
        for (var index = 0; index < macro.Parameters.Count; index++)
        {
            var (name, fallback) = macro.Parameters[index];
            scope.Set(
                name,
                arguments.Find(index, name)
                    ?? (fallback is null ? new UndefinedValue(name) : _evaluator.Evaluate(fallback, scope)));
        }

        if (arguments.Named.Keys.FirstOrDefault(name => macro.Parameters.All(known => known.Name != name)) is { } odd)
            throw arguments.Error($"has no parameter '{odd}'");
        var text = new StringBuilder();
        Run(macro.Body, scope, text);
        budget.Charge(text.Length, arguments.Line);
        budget.Leave();
        return Value.Of(text.ToString());
    });
}
