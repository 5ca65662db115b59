namespace SpotServe.Seed.Templating;

/// <summary>The tokens of a template with a place in them, and how deep the reader is nested.</summary>
internal sealed class TokenStream(IReadOnlyList<TemplateToken> tokens, TemplateLimits limits)
{
    private int _at;
    private int _depth;

    public TemplateToken Current => tokens[_at];

    public int Line => Current.Line;

    public TemplateToken Take() => tokens[_at] is { Kind: TemplateTokenKind.End } end ? end : tokens[_at++];

    public bool IsOperator(string text) => Current.Kind == TemplateTokenKind.Operator && Current.Text == text;

    public bool IsName(string text) => Current.Kind == TemplateTokenKind.Name && Current.Text == text;

    public bool IsNextOperator(string text) =>
        tokens[Math.Min(_at + 1, tokens.Count - 1)] is { Kind: TemplateTokenKind.Operator } next && next.Text == text;

    public bool IsNextName(string text) =>
        tokens[Math.Min(_at + 1, tokens.Count - 1)] is { Kind: TemplateTokenKind.Name } next && next.Text == text;

    public bool TakeOperator(string text)
    {
        if (!IsOperator(text)) return false;
        _at++;
        return true;
    }

    public bool TakeName(string text)
    {
        if (!IsName(text)) return false;
        _at++;
        return true;
    }

    public void Expect(string text)
    {
        if (!TakeOperator(text)) throw Unexpected($"'{text}'");
    }

    public void Expect(TemplateTokenKind kind, string what)
    {
        if (Current.Kind != kind) throw Unexpected(what);
        Take();
    }

    public string ExpectName(string what) =>
        Current.Kind == TemplateTokenKind.Name ? Take().Text : throw Unexpected(what);

    public TemplateException Unexpected(string expected) =>
        new(Line, $"expected {expected} and found {Shown(Current)}");

    public void Enter()
    {
        if (++_depth > limits.DepthMax)
            throw new TemplateException(Line, $"the template is nested more than {limits.DepthMax} deep, the limit");
    }

    public void Leave() => _depth--;

    private static string Shown(TemplateToken token) => token.Kind switch
    {
        TemplateTokenKind.End => token.Text,
        TemplateTokenKind.Text => "text",
        TemplateTokenKind.String => $"the string '{(token.Text.Length > 40 ? token.Text[..40] + "..." : token.Text)}'",
        _ => $"'{token.Text}'",
    };
}
