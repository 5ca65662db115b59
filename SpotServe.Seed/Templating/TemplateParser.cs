namespace SpotServe.Seed.Templating;

/// <summary>Reads a template's statements. What the subset lacks is refused by name and line.</summary>
internal sealed class TemplateParser
{
    private static readonly string[] NotSupported =
        ["include", "import", "from", "extends", "block", "call", "do", "autoescape", "trans", "pluralize", "debug"];

    private readonly TokenStream _tokens;
    private readonly ExpressionParser _expressions;
    private int _loops;

    private TemplateParser(TokenStream tokens)
    {
        _tokens = tokens;
        _expressions = new ExpressionParser(tokens);
    }

    /// <exception cref="TemplateException">The template is not of the subset; says where and what.</exception>
    public static IReadOnlyList<Statement> Parse(string source, TemplateLimits limits)
    {
        if (source.Length > limits.SourceCharsMax)
        {
            throw new TemplateException(
                1, $"the template has {source.Length:N0} characters; the limit is {limits.SourceCharsMax:N0}");
        }

        var parser = new TemplateParser(new TokenStream(TemplateLexer.Read(source), limits));
        var body = parser.ParseUntil();
        return parser._tokens.Current.Kind == TemplateTokenKind.End
            ? body
            : throw parser._tokens.Unexpected("a statement that begins here");
    }

    /// <summary>Statements up to a block tag that begins with one of the names, which is not taken.</summary>
    private List<Statement> ParseUntil(params ReadOnlySpan<string> ends)
    {
        _tokens.Enter();
        var body = new List<Statement>();
        while (true)
        {
            var token = _tokens.Current;
            switch (token.Kind)
            {
                case TemplateTokenKind.Text:
                    _tokens.Take();
                    body.Add(new Statement.Text(token.Line, token.Text));
                    continue;
                case TemplateTokenKind.OutputBegin:
                    _tokens.Take();
                    body.Add(new Statement.Output(token.Line, _expressions.ParseTuple()));
                    _tokens.Expect(TemplateTokenKind.OutputEnd, "'}}'");
                    continue;
                case TemplateTokenKind.BlockBegin when !IsEnd(ends):
                    _tokens.Take();
                    body.Add(ParseStatement(token.Line));
                    continue;
                default:
                    _tokens.Leave();
                    return body;
            }
        }
    }

    private bool IsEnd(ReadOnlySpan<string> ends)
    {
        foreach (var end in ends)
            if (_tokens.IsNextName(end)) return true;
        return false;
    }

    private Statement ParseStatement(int line)
    {
        var keyword = _tokens.ExpectName("a statement");
        return keyword switch
        {
            "if" => ParseIf(line),
            "for" => ParseFor(line),
            "set" => ParseSet(line),
            "macro" => ParseMacro(line),
            "filter" => ParseFilterBlock(line),
            "with" => ParseWith(line),
            // Marks what the model wrote, for training; it changes nothing in the text.
            "generation" => ParseScope(line, "endgeneration"),
            "break" or "continue" => ParseJump(line, keyword),
            _ when NotSupported.Contains(keyword) =>
                throw new TemplateException(line, $"the statement '{keyword}' is not supported"),
            _ => throw new TemplateException(line, $"the statement '{keyword}' is not known here"),
        };
    }

    private Statement.If ParseIf(int line)
    {
        var branches = new List<(Expression?, IReadOnlyList<Statement>)>();
        Expression? condition = _expressions.ParseTuple();
        while (true)
        {
            EndTag();
            branches.Add((condition, ParseUntil("elif", "else", "endif")));
            var keyword = BeginTag(line, "if", "endif");
            if (keyword == "endif")
            {
                EndTag();
                return new Statement.If(line, branches);
            }

            if (condition is null) throw _tokens.Unexpected("'endif', because 'else' came before");
            condition = keyword == "elif" ? _expressions.ParseTuple() : null;
        }
    }

    private Statement.For ParseFor(int line)
    {
        var target = ParseTarget(membersAllowed: false);
        if (!_tokens.TakeName("in")) throw _tokens.Unexpected("'in'");
        var items = ParseLoopItems();
        var condition = _tokens.TakeName("if") ? _expressions.Parse() : null;
        if (_tokens.IsName("recursive")) throw new TemplateException(line, "recursive loops are not supported");
        EndTag();
        _loops++;
        var body = ParseUntil("else", "endfor");
        _loops--;
        IReadOnlyList<Statement> otherwise = [];
        if (BeginTag(line, "for", "endfor") == "else")
        {
            EndTag();
            otherwise = ParseUntil("endfor");
            BeginTag(line, "for", "endfor");
        }

        EndTag();
        return new Statement.For(line, target, items, condition, body, otherwise);
    }

    private Expression ParseLoopItems()
    {
        var line = _tokens.Line;
        var first = _expressions.ParseOr();
        if (!_tokens.IsOperator(",")) return first;
        var items = new List<Expression> { first };
        while (_tokens.TakeOperator(",")) items.Add(_expressions.ParseOr());
        return new Expression.ListOf(line, items, IsTuple: true);
    }

    private Statement ParseSet(int line)
    {
        var target = ParseTarget(membersAllowed: true);
        if (_tokens.TakeOperator("="))
        {
            var value = _expressions.ParseTuple();
            EndTag();
            return new Statement.Set(line, target, value);
        }

        var filtering = ParseFiltering();
        EndTag();
        var body = ParseUntil("endset");
        BeginTag(line, "set", "endset");
        EndTag();
        return new Statement.SetBlock(line, target, body, filtering);
    }

    private Filtering ParseFiltering()
    {
        var filters = new List<(int, string, Arguments)>();
        while (_tokens.TakeOperator("|")) filters.Add(_expressions.ParseFilter());
        return new Filtering(filters);
    }

    private Statement.Macro ParseMacro(int line)
    {
        var name = _tokens.ExpectName("the macro's name");
        _tokens.Expect("(");
        var parameters = new List<(string, Expression?)>();
        while (!_tokens.TakeOperator(")"))
        {
            if (parameters.Count > 0) _tokens.Expect(",");
            var parameter = _tokens.ExpectName("a parameter's name");
            parameters.Add((parameter, _tokens.TakeOperator("=") ? _expressions.Parse() : null));
        }

        EndTag();
        // A loop around the macro's definition is none around its body.
        var loops = _loops;
        _loops = 0;
        var body = ParseUntil("endmacro");
        _loops = loops;
        BeginTag(line, "macro", "endmacro");
        EndTag();
        return new Statement.Macro(line, name, parameters, body);
    }

    private Statement.FilterBlock ParseFilterBlock(int line)
    {
        var filters = new List<(int, string, Arguments)> { _expressions.ParseFilter() };
        filters.AddRange(ParseFiltering().Filters);
        EndTag();
        var body = ParseUntil("endfilter");
        BeginTag(line, "filter", "endfilter");
        EndTag();
        return new Statement.FilterBlock(line, body, new Filtering(filters));
    }

    private Statement.With ParseWith(int line)
    {
        var names = new List<(string, Expression)>();
        while (_tokens.Current.Kind == TemplateTokenKind.Name)
        {
            var name = _tokens.Take().Text;
            _tokens.Expect("=");
            names.Add((name, _expressions.Parse()));
            if (!_tokens.TakeOperator(",")) break;
        }

        return ParseScope(line, "endwith") with { Names = names };
    }

    private Statement.With ParseScope(int line, string end)
    {
        EndTag();
        var body = ParseUntil(end);
        BeginTag(line, end[3..], end);
        EndTag();
        return new Statement.With(line, [], body);
    }

    private Statement ParseJump(int line, string keyword)
    {
        if (_loops == 0) throw new TemplateException(line, $"'{keyword}' stands outside of a loop");
        EndTag();
        return keyword == "break" ? new Statement.Break(line) : new Statement.Continue(line);
    }

    private Target ParseTarget(bool membersAllowed)
    {
        var line = _tokens.Line;
        var items = new List<Target>();
        var isSeveral = false;
        do
        {
            if (items.Count > 0 && _tokens.IsName("in")) break;
            items.Add(ParseOneTarget(membersAllowed));
            isSeveral |= _tokens.IsOperator(",");
        }
        while (_tokens.TakeOperator(","));
        return isSeveral ? new Target.Several(line, items) : items[0];
    }

    private Target ParseOneTarget(bool membersAllowed)
    {
        var line = _tokens.Line;
        if (_tokens.TakeOperator("("))
        {
            var inner = ParseTarget(membersAllowed);
            _tokens.Expect(")");
            return inner;
        }

        var name = _tokens.ExpectName("a name to assign to");
        return membersAllowed && _tokens.TakeOperator(".")
            ? new Target.Member(line, name, _tokens.ExpectName("a member's name"))
            : new Target.Name(line, name);
    }

    /// <summary>Takes "{%" and the name behind it.</summary>
    private string BeginTag(int opened, string statement, string end)
    {
        if (_tokens.Current.Kind != TemplateTokenKind.BlockBegin)
            throw new TemplateException(opened, $"'{statement}' has no '{end}'");
        _tokens.Take();
        return _tokens.ExpectName($"'{end}'");
    }

    private void EndTag() => _tokens.Expect(TemplateTokenKind.BlockEnd, "'%}'");
}
