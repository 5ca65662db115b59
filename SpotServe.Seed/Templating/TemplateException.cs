namespace SpotServe.Seed.Templating;

/// <summary>A template cannot be read or rendered. The message names the construct and its line.</summary>
/// <param name="line">Line of the template, from 1.</param>
internal sealed class TemplateException(int line, string message)
    : Exception($"line {line}: {message}")
{
    public int Line { get; } = line;
}

/// <summary>The template itself refused its input with raise_exception: the client's messages do not fit
/// it.</summary>
internal sealed class TemplateRefusalException(string message) : Exception(message);
