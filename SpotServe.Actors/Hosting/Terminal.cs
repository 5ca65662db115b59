using Microsoft.Extensions.Logging;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// The process's standard output and error while it serves: what is said there goes through
/// <see cref="BoundedWriter"/>. Commands that print a result and end do without it: their reader wants all of it.
/// </summary>
public sealed class Terminal : IDisposable
{
    private static readonly TimeSpan FinishMax = TimeSpan.FromSeconds(1);

    private static volatile TextWriter? _lines;
    private static volatile bool _isJson;

    private readonly TextWriter _output = Console.Out;
    private readonly TextWriter _error = Console.Error;
    private readonly BoundedWriter _boundedOutput;
    private readonly BoundedWriter _boundedError;

    private Terminal()
    {
        _boundedOutput = new BoundedWriter(StandardStream.OpenOutput());
        _boundedError = new BoundedWriter(StandardStream.OpenError());
        _lines = _boundedOutput;
        Console.SetOut(_boundedOutput);
        Console.SetError(_boundedError);
    }

    public static Terminal Take() => new();

    /// <summary>From now on what people are told is a line of the log, too, where that is for programs: one that reads
    /// the output meets nothing else.</summary>
    public static void Speak(LogFormat format)
    {
        if (format == LogFormat.Text) return;
        _isJson = true;
        Console.SetOut(new LogLineWriter(Console.Out, format, LogLevel.Information, TimeProvider.System));
        Console.SetError(new LogLineWriter(Console.Error, format, LogLevel.Error, TimeProvider.System));
    }

    /// <summary>Writes a line of the log to standard output: neither waits nor throws while the terminal is
    /// taken.</summary>
    public static void WriteLog(string line) => (_lines ?? Console.Out).WriteLine(line);

    /// <summary>Says the last thing that a process has to say, and waits only a limited time for its reader.</summary>
    public static void SayLast(string line)
    {
        var last = new BoundedWriter(StandardStream.OpenError());
        last.WriteLine(_isJson
            ? new LogLine(TimeProvider.System.GetUtcNow(), LogLevel.Error, LogLineWriter.Area, null, line)
                .In(LogFormat.Json)
            : line);
        last.Finish(FinishMax);
    }

    public void Dispose()
    {
        _lines = null;
        Console.SetOut(_output);
        Console.SetError(_error);
        _boundedOutput.Finish(FinishMax);
        _boundedError.Finish(FinishMax);
    }
}
