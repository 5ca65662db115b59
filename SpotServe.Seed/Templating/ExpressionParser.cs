using System.Globalization;

namespace SpotServe.Seed.Templating;

/// <summary>
/// Reads expressions, with the precedences of the language: conditional, or, and, not, comparisons, + and -, ~, * and
/// /, **, signs, then what follows a value (members, calls, filters, tests). Filters, tests and methods that the subset
/// lacks are refused here, when the template is read, so that no request meets them first.
/// </summary>
internal sealed class ExpressionParser(TokenStream tokens)
{
    private static readonly string[] Comparisons = ["==", "!=", "<=", ">=", "<", ">"];

    /// <summary>An expression, or several with commas, which make a tuple.</summary>
    public Expression ParseTuple()
    {
        var line = tokens.Line;
        var first = Parse();
        if (!tokens.IsOperator(",")) return first;
        var items = new List<Expression> { first };
        while (tokens.TakeOperator(","))
        {
            if (!BeginsExpression()) break;
            items.Add(Parse());
        }

        return new Expression.ListOf(line, items, IsTuple: true);
    }

    public Expression Parse()
    {
        tokens.Enter();
        try
        {
            var line = tokens.Line;
            var value = ParseOr();
            while (tokens.TakeName("if"))
            {
                var condition = ParseOr();
                var otherwise = tokens.TakeName("else") ? Parse() : null;
                value = new Expression.Conditional(line, condition, value, otherwise);
            }

            return value;
        }
        finally
        {
            tokens.Leave();
        }
    }

    /// <summary>An expression that no "if" follows: what a loop goes over.</summary>
    public Expression ParseOr()
    {
        var line = tokens.Line;
        var left = ParseAnd();
        while (tokens.TakeName("or")) left = new Expression.Binary(line, "or", left, ParseAnd());
        return left;
    }

    /// <summary>name(arguments), of a filter on a block.</summary>
    public (int Line, string Name, Arguments Arguments) ParseFilter()
    {
        var line = tokens.Line;
        var name = tokens.ExpectName("the name of a filter");
        if (!Filters.Known.Contains(name))
            throw new TemplateException(line, $"the filter '{name}' is not known");
        return (line, name, tokens.IsOperator("(") ? ParseArguments() : Arguments.None);
    }

    private Expression ParseAnd()
    {
        var line = tokens.Line;
        var left = ParseNot();
        while (tokens.TakeName("and")) left = new Expression.Binary(line, "and", left, ParseNot());
        return left;
    }

    private Expression ParseNot()
    {
        var line = tokens.Line;
        if (!tokens.TakeName("not")) return ParseComparison();
        tokens.Enter();
        var operand = ParseNot();
        tokens.Leave();
        return new Expression.Unary(line, "not", operand);
    }

    private Expression ParseComparison()
    {
        var line = tokens.Line;
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (Comparisons.FirstOrDefault(tokens.IsOperator) is { } text)
            {
                tokens.Take();
                rest.Add((text, ParseSum()));
            }
            else if (tokens.TakeName("in"))
            {
                rest.Add(("in", ParseSum()));
            }
            else if (tokens.IsName("not") && tokens.IsNextName("in"))
            {
                tokens.Take();
                tokens.Take();
                rest.Add(("not in", ParseSum()));
            }
            else
            {
                return rest.Count == 0 ? first : new Expression.Comparison(line, first, rest);
            }
        }
    }

    private Expression ParseSum() => ParseLeft(ParseConcatenation, "+", "-");

    private Expression ParseConcatenation() => ParseLeft(ParseProduct, "~");

    private Expression ParseProduct() => ParseLeft(ParsePower, "*", "/", "//", "%");

    private Expression ParsePower() => ParseLeft(() => ParseUnary(withFilters: true), "**");

    private Expression ParseLeft(Func<Expression> parseOperand, params ReadOnlySpan<string> operators)
    {
        var line = tokens.Line;
        var left = parseOperand();
        while (true)
        {
            var text = tokens.Current is { Kind: TemplateTokenKind.Operator } token && operators.Contains(token.Text)
                ? token.Text
                : null;
            if (text is null) return left;
            tokens.Take();
            left = new Expression.Binary(line, text, left, parseOperand());
        }
    }

    private Expression ParseUnary(bool withFilters)
    {
        var line = tokens.Line;
        Expression value;
        if (tokens.IsOperator("-") || tokens.IsOperator("+"))
        {
            var text = tokens.Take().Text;
            tokens.Enter();
            value = new Expression.Unary(line, text, ParseUnary(withFilters: false));
            tokens.Leave();
        }
        else
        {
            value = ParsePrimary();
        }

        value = ParsePostfix(value);
        return withFilters ? ParseFiltersAndTests(value) : value;
    }

    private Expression ParsePrimary()
    {
        var token = tokens.Current;
        switch (token.Kind)
        {
            case TemplateTokenKind.Name:
                tokens.Take();
                return Named(token);
            case TemplateTokenKind.String:
                var text = "";
                while (tokens.Current.Kind == TemplateTokenKind.String) text += tokens.Take().Text;
                return new Expression.Literal(token.Line, Value.Of(text));
            case TemplateTokenKind.Integer:
                tokens.Take();
                return long.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out var whole)
                    ? new Expression.Literal(token.Line, Value.Of(whole))
                    : throw new TemplateException(token.Line, $"the number {token.Text} is too large");
            case TemplateTokenKind.Float:
                tokens.Take();
                return new Expression.Literal(
                    token.Line, new FloatValue(double.Parse(token.Text, CultureInfo.InvariantCulture)));
            case TemplateTokenKind.Operator when token.Text == "(":
                return ParseBracketed();
            case TemplateTokenKind.Operator when token.Text == "[":
                tokens.Take();
                return new Expression.ListOf(token.Line, ParseItems("]"), IsTuple: false);
            case TemplateTokenKind.Operator when token.Text == "{":
                return ParseMap();
            default:
                throw tokens.Unexpected("a value");
        }
    }

    private static Expression Named(TemplateToken token) => token.Text switch
    {
        "true" or "True" => new Expression.Literal(token.Line, BooleanValue.True),
        "false" or "False" => new Expression.Literal(token.Line, BooleanValue.False),
        "none" or "None" => new Expression.Literal(token.Line, NoneValue.Instance),
        _ => new Expression.Name(token.Line, token.Text),
    };

    private Expression ParseBracketed()
    {
        var line = tokens.Take().Line;
        if (tokens.TakeOperator(")")) return new Expression.ListOf(line, [], IsTuple: true);
        var value = ParseTuple();
        tokens.Expect(")");
        return value;
    }

    private List<Expression> ParseItems(string closing)
    {
        var items = new List<Expression>();
        while (!tokens.TakeOperator(closing))
        {
            if (items.Count > 0)
            {
                tokens.Expect(",");
                if (tokens.TakeOperator(closing)) break;
            }

            items.Add(Parse());
        }

        return items;
    }

    private Expression.MapOf ParseMap()
    {
        var line = tokens.Take().Line;
        var members = new List<(Expression, Expression)>();
        while (!tokens.TakeOperator("}"))
        {
            if (members.Count > 0)
            {
                tokens.Expect(",");
                if (tokens.TakeOperator("}")) break;
            }

            var key = Parse();
            tokens.Expect(":");
            members.Add((key, Parse()));
        }

        return new Expression.MapOf(line, members);
    }

    private Expression ParsePostfix(Expression value)
    {
        while (true)
        {
            var line = tokens.Line;
            if (tokens.TakeOperator("."))
            {
                value = tokens.Current.Kind == TemplateTokenKind.Integer
                    ? new Expression.Item(line, value, ParsePrimary())
                    : new Expression.Member(line, value, tokens.ExpectName("a member's name"));
            }
            else if (tokens.TakeOperator("["))
            {
                value = ParseSubscript(line, value);
            }
            else if (tokens.IsOperator("("))
            {
                if (value is Expression.Member member && !Methods.Known.Contains(member.Text))
                    throw new TemplateException(line, $"the method '{member.Text}' is not known");
                value = new Expression.Call(line, value, ParseArguments());
            }
            else
            {
                return value;
            }
        }
    }

    private Expression ParseSubscript(int line, Expression subject)
    {
        var start = tokens.IsOperator(":") ? null : Parse();
        if (!tokens.TakeOperator(":"))
        {
            tokens.Expect("]");
            return new Expression.Item(line, subject, start!);
        }

        var stop = tokens.IsOperator(":") || tokens.IsOperator("]") ? null : Parse();
        var step = tokens.TakeOperator(":") && !tokens.IsOperator("]") ? Parse() : null;
        tokens.Expect("]");
        return new Expression.Slice(line, subject, start, stop, step);
    }

    private Expression ParseFiltersAndTests(Expression value)
    {
        while (true)
        {
            if (tokens.TakeOperator("|"))
            {
                var (line, name, arguments) = ParseFilter();
                value = ParsePostfix(new Expression.Filter(line, value, name, arguments));
            }
            else if (tokens.IsName("is"))
            {
                value = ParseTest(value);
            }
            else
            {
                return value;
            }
        }
    }

    private Expression ParseTest(Expression value)
    {
        var line = tokens.Take().Line;
        var isNegated = tokens.TakeName("not");
        // "is none", "is true" and "is in" are tests, though the words have other meanings elsewhere.
        var name = tokens.ExpectName("the name of a test");
        if (!Checks.Known.Contains(name)) throw new TemplateException(line, $"the test '{name}' is not known");
        var arguments = Arguments.None;
        if (tokens.IsOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (Checks.TakesArgument(name))
        {
            arguments = new Arguments([ParsePostfix(ParsePrimary())], []);
        }

        Expression check = new Expression.Check(line, value, name, arguments);
        return isNegated ? new Expression.Unary(line, "not", check) : check;
    }

    private Arguments ParseArguments()
    {
        tokens.Expect("(");
        var positional = new List<Expression>();
        var named = new List<(string, Expression)>();
        while (!tokens.TakeOperator(")"))
        {
            if (positional.Count + named.Count > 0)
            {
                tokens.Expect(",");
                if (tokens.TakeOperator(")")) break;
            }

            if (tokens.Current.Kind == TemplateTokenKind.Name && tokens.IsNextOperator("="))
            {
                var name = tokens.Take().Text;
                tokens.Take();
                named.Add((name, Parse()));
            }
            else if (named.Count > 0)
            {
                throw tokens.Unexpected("a named argument, because one came before");
            }
            else
            {
                positional.Add(Parse());
            }
        }

        return new Arguments(positional, named);
    }

    private bool BeginsExpression() => tokens.Current.Kind switch
    {
        TemplateTokenKind.OutputEnd or TemplateTokenKind.BlockEnd or TemplateTokenKind.End => false,
        TemplateTokenKind.Operator => tokens.Current.Text is "(" or "[" or "{" or "-" or "+",
        _ => true,
    };
}
