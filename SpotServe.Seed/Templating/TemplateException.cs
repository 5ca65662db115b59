namespace SpotServe.Seed.Templating;

/// <summary>A template cannot be read or rendered. The message names the construct and its line, and is one line
/// itself, however much of the template it shows.</summary>
/// <param name="line">Line of the template, from 1.</param>
internal sealed class TemplateException(int line, string message)
    : Exception($"line {line}: {OneLine(message)}")
{
    private const int CharsMax = 1_000;

    public int Line { get; } = line;

    private static string OneLine(string message)
    {
        var shown = message.Length <= CharsMax ? message : $"{message[..CharsMax]}...";
        return shown.ReplaceLineEndings("\\n");
    }
}

/// <summary>The template itself refused its input with raise_exception: the client's messages do not fit
/// it.</summary>
internal sealed class TemplateRefusalException(string message) : Exception(message);
