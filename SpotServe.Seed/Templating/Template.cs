namespace SpotServe.Seed.Templating;

/// <summary>
/// A template in the language of chat templates (Jinja), in the subset that published ones use. Immutable: any thread
/// may render it.
/// </summary>
internal sealed class Template
{
    private readonly IReadOnlyList<Statement> _statements;
    private readonly TemplateLimits _limits;

    private Template(IReadOnlyList<Statement> statements, TemplateLimits limits)
    {
        _statements = statements;
        _limits = limits;
    }

    /// <exception cref="TemplateException">The source is not of the subset; says the construct and its
    /// line.</exception>
    public static Template Parse(string source, TemplateLimits? limits = null)
    {
        limits ??= TemplateLimits.Default;
        return new Template(TemplateParser.Parse(source, limits), limits);
    }

    /// <param name="variables">Names that the template may use, beside the functions that all templates have.</param>
    /// <param name="now">What strftime_now tells.</param>
    /// <exception cref="TemplateException">The template does not go with these values, or does too much.</exception>
    /// <exception cref="TemplateRefusalException">The template refuses these values itself.</exception>
    public string Render(IEnumerable<KeyValuePair<string, Value>> variables, DateTimeOffset now)
    {
        var globals = new Scope(outer: null);
        Functions.AddTo(globals, now);
        var scope = new Scope(globals);
        foreach (var (name, value) in variables) scope.Set(name, value);
        return new Renderer(new TemplateBudget(_limits)).Render(_statements, scope);
    }
}
