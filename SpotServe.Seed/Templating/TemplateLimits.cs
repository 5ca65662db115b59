namespace SpotServe.Seed.Templating;

/// <summary>
/// What one rendering may cost. A template comes with a model folder and messages come from clients: neither may make
/// the server hang or grow.
/// </summary>
internal sealed record TemplateLimits
{
    public static TemplateLimits Default { get; } = new();

    /// <summary>Characters of a template's source.</summary>
    public int SourceCharsMax { get; init; } = 1 << 20;

    /// <summary>How deep expressions, blocks and macro calls may nest.</summary>
    public int DepthMax { get; init; } = 200;

    /// <summary>
    /// Evaluated nodes, and characters and elements of all values made on the way: a string that doubles itself in a
    /// loop ends here.
    /// </summary>
    public long WorkMax { get; init; } = 50_000_000;

    /// <summary>Characters of the result, and characters or elements of any value that is made at one go: what is
    /// longer could not be shown, and would leave memory of its length with whatever made it.</summary>
    public int OutputCharsMax { get; init; } = 4 << 20;
}

/// <summary>Counts what one rendering has cost. Not thread-safe: one rendering owns it.</summary>
internal sealed class TemplateBudget(TemplateLimits limits)
{
    private long _work;
    private int _depth;

    public int OutputCharsMax => limits.OutputCharsMax;

    /// <exception cref="TemplateException">The rendering has done more than it may.</exception>
    public void Charge(long work, int line)
    {
        if (work > limits.OutputCharsMax)
        {
            throw new TemplateException(
                line, $"a value of {work:N0} characters or elements; the limit is {limits.OutputCharsMax:N0}");
        }

        _work += work;
        if (_work > limits.WorkMax)
            throw new TemplateException(line, $"the template does more than {limits.WorkMax:N0} steps, the limit");
    }

    /// <exception cref="TemplateException">Calls are nested deeper than they may be.</exception>
    public void Enter(int line)
    {
        if (++_depth > limits.DepthMax)
            throw new TemplateException(line, $"calls are nested more than {limits.DepthMax} deep, the limit");
    }

    public void Leave() => _depth--;
}
