using System.Globalization;

namespace SpotServe.Actors.Simulation;

/// <summary>The lines of a trace's text, with their numbers, and the numbers in them.</summary>
internal sealed class TraceText(string file, string text)
{
    /// <summary>Longer than any trace that a run gets through.</summary>
    public const int LinesMax = 50_000_000;

    /// <summary>Characters of one line.</summary>
    public const int LineMax = 1 << 24;

    /// <summary>Three thousand years of seconds: what is beyond is no time.</summary>
    private const double NumberMax = 1e11;

    public string File => file;

    public string Text => text;

    /// <summary>Number of the last line.</summary>
    public int LineCount => text.TrimEnd().Count(character => character == '\n') + 1;

    /// <summary>Lines that are neither empty nor comments (#), from 1.</summary>
    public IEnumerable<(int Number, string Line)> Lines()
    {
        var number = 0;
        using var reader = new StringReader(text);
        while (reader.ReadLine() is { } line)
        {
            number++;
            if (line.Length > LineMax)
            {
                throw new TraceException(
                    file, number, $"it has {line.Length:N0} characters", $"a line has at most {LineMax:N0}");
            }

            if (number > LinesMax) throw new TraceException(file, number, "too many lines", $"at most {LinesMax}");
            var trimmed = line.Trim();
            if (trimmed.Length > 0 && trimmed[0] != '#') yield return (number, trimmed);
        }
    }

    public double Number(int line, string value, string what)
    {
        if (double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            && number is >= 0 and <= NumberMax) return number;
        throw new TraceException(
            file, line, $"{what} is \"{Short(value)}\"", $"it must be a number of 0 to {NumberMax:0e+0}");
    }

    public int Count(int line, string value, string what, int least, int most)
    {
        if (int.TryParse(value, NumberStyles.Integer, CultureInfo.InvariantCulture, out var number)
            && number >= least && number <= most) return number;
        throw new TraceException(
            file, line, $"{what} is \"{Short(value)}\"", $"it must be a whole number of {least} to {most}");
    }

    /// <summary>How the parser begins what it adds of places in its own words.</summary>
    private static readonly string[] Parser = [" Path: ", " LineNumber:"];

    /// <summary>What is wrong with JSON, and where in its line; the line's own number is the trace's.</summary>
    public static string Why(Exception error)
    {
        var ends = Parser.Select(part => error.Message.IndexOf(part, StringComparison.Ordinal)).Where(end => end > 0);
        var text = error.Message[..ends.DefaultIfEmpty(error.Message.Length).Min()].TrimEnd('.');
        return error is System.Text.Json.JsonException { BytePositionInLine: { } position }
            ? FormattableString.Invariant($"{text}, at byte {position + 1} of the line")
            : text;
    }

    public static string Short(string text) => text.Length <= 60 ? text : text[..60] + "...";
}
