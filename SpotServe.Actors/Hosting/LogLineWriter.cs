using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;

namespace SpotServe.Actors.Hosting;

/// <summary>What people are told, as lines of a log: each line that is written becomes one. Thread-safe.</summary>
/// <param name="inner">Takes whole lines.</param>
internal sealed class LogLineWriter(TextWriter inner, LogFormat format, LogLevel level, TimeProvider clock)
    : TextWriter(CultureInfo.InvariantCulture)
{
    /// <summary>Area of what the terminal is told.</summary>
    public const string Area = "Terminal";

    /// <summary>A text that is longer without an end of a line is taken for a line.</summary>
    private const int LineCharactersMax = 16 << 10;

    private readonly Lock _lock = new();
    private readonly StringBuilder _line = new();

    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Write(value.ToString());

    public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

    public override void Write(string? value)
    {
        if (string.IsNullOrEmpty(value)) return;
        lock (_lock)
        {
            foreach (var letter in value)
            {
                if (letter != '\n') _line.Append(letter);
                if (letter == '\n' || _line.Length == LineCharactersMax) Tell();
            }
        }
    }

    public override void WriteLine(string? value) => Write(value + '\n');

    public override void WriteLine() => Write("\n");

    public override Task WriteAsync(string? value)
    {
        Write(value);
        return Task.CompletedTask;
    }

    public override Task WriteLineAsync(string? value)
    {
        WriteLine(value);
        return Task.CompletedTask;
    }

    private void Tell()
    {
        var text = _line.ToString().Trim();
        _line.Clear();
        if (text.Length > 0) inner.WriteLine(new LogLine(clock.GetUtcNow(), level, Area, null, text).In(format));
    }
}
