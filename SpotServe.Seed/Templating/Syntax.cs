namespace SpotServe.Seed.Templating;

/// <summary>An expression of a template, as it was read.</summary>
/// <param name="Line">Where it begins, for complaints.</param>
internal abstract record Expression(int Line)
{
    public sealed record Literal(int Line, Value Value) : Expression(Line);

    public sealed record Name(int Line, string Text) : Expression(Line);

    public sealed record ListOf(int Line, IReadOnlyList<Expression> Items, bool IsTuple) : Expression(Line);

    public sealed record MapOf(int Line, IReadOnlyList<(Expression Key, Expression Value)> Members) : Expression(Line);

    /// <summary>subject.name</summary>
    public sealed record Member(int Line, Expression Subject, string Text) : Expression(Line);

    /// <summary>subject[key]</summary>
    public sealed record Item(int Line, Expression Subject, Expression Key) : Expression(Line);

    /// <summary>subject[start:stop:step]; null where nothing stands.</summary>
    public sealed record Slice(int Line, Expression Subject, Expression? Start, Expression? Stop, Expression? Step)
        : Expression(Line);

    public sealed record Call(int Line, Expression Subject, Arguments Arguments) : Expression(Line);

    /// <summary>subject | filter(arguments)</summary>
    public sealed record Filter(int Line, Expression Subject, string Text, Arguments Arguments) : Expression(Line);

    /// <summary>subject is test(arguments)</summary>
    public sealed record Check(int Line, Expression Subject, string Text, Arguments Arguments) : Expression(Line);

    /// <param name="Text">not, - or +</param>
    public sealed record Unary(int Line, string Text, Expression Operand) : Expression(Line);

    /// <summary>Arithmetic, and, or, ~.</summary>
    public sealed record Binary(int Line, string Text, Expression Left, Expression Right) : Expression(Line);

    /// <summary>a &lt; b &lt; c: true when each holds.</summary>
    public sealed record Comparison(int Line, Expression First, IReadOnlyList<(string Text, Expression Right)> Rest)
        : Expression(Line);

    /// <summary>then if condition else otherwise</summary>
    public sealed record Conditional(int Line, Expression Condition, Expression Then, Expression? Otherwise)
        : Expression(Line);
}

/// <summary>What stands in the brackets of a call.</summary>
internal sealed record Arguments(
    IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Named)
{
    public static Arguments None { get; } = new([], []);
}

/// <summary>A statement of a template, or text.</summary>
internal abstract record Statement(int Line)
{
    public sealed record Text(int Line, string Value) : Statement(Line);

    public sealed record Output(int Line, Expression Value) : Statement(Line);

    /// <summary>The first branch whose condition holds; the else branch has none.</summary>
    public sealed record If(int Line, IReadOnlyList<(Expression? Condition, IReadOnlyList<Statement> Body)> Branches)
        : Statement(Line);

    public sealed record For(
        int Line,
        Target Target,
        Expression Items,
        Expression? Condition,
        IReadOnlyList<Statement> Body,
        IReadOnlyList<Statement> Otherwise) : Statement(Line);

    public sealed record Set(int Line, Target Target, Expression Value) : Statement(Line);

    /// <summary>{% set name %} body {% endset %}, its text through filters where some are named.</summary>
    public sealed record SetBlock(int Line, Target Target, IReadOnlyList<Statement> Body, Filtering Filtering)
        : Statement(Line);

    public sealed record Macro(
        int Line,
        string Name,
        IReadOnlyList<(string Name, Expression? Default)> Parameters,
        IReadOnlyList<Statement> Body) : Statement(Line);

    /// <summary>{% filter name %} body {% endfilter %}</summary>
    public sealed record FilterBlock(int Line, IReadOnlyList<Statement> Body, Filtering Filtering) : Statement(Line);

    /// <summary>{% with name = value %}, and {% generation %}, which only opens a scope.</summary>
    public sealed record With(
        int Line, IReadOnlyList<(string Name, Expression Value)> Names, IReadOnlyList<Statement> Body)
        : Statement(Line);

    public sealed record Break(int Line) : Statement(Line);

    public sealed record Continue(int Line) : Statement(Line);
}

/// <summary>What a value is assigned to.</summary>
internal abstract record Target(int Line)
{
    public sealed record Name(int Line, string Text) : Target(Line);

    /// <summary>A namespace's member.</summary>
    public sealed record Member(int Line, string Subject, string Text) : Target(Line);

    public sealed record Several(int Line, IReadOnlyList<Target> Items) : Target(Line);
}

/// <summary>Filters that a block's text goes through, first to last.</summary>
internal sealed record Filtering(IReadOnlyList<(int Line, string Name, Arguments Arguments)> Filters);
