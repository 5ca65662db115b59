using Microsoft.Extensions.Logging;

namespace SpotServe.Actors.Hosting;

/// <summary>Makes lines of what is logged, for whoever writes them: into a file, or on standard output.</summary>
/// <param name="write">Takes a line without its end; neither waits nor throws, and is called by many threads.</param>
public sealed class LineLoggerProvider(LogOptions options, Action<string> write, TimeProvider clock) : ILoggerProvider
{
    /// <summary>The template itself, as Microsoft's loggers call it.</summary>
    private const string Template = "{OriginalFormat}";

    public ILogger CreateLogger(string categoryName) =>
        new LineLogger(options, write, clock, LogLevels.AreaOf(categoryName));

    public void Dispose()
    {
        // Whoever writes the lines is its owner's.
    }

    private sealed class LineLogger(
        LogOptions options, Action<string> write, TimeProvider clock, string area) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => options.Levels.IsEnabled(area, logLevel);

        public void Log<TState>(
            LogLevel logLevel,
            EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel)) return;
            var said = state as ActorLogState;
            var line = new LogLine(
                said?.At ?? clock.GetUtcNow(), logLevel, area, said?.Source, formatter(state, exception))
            {
                Error = exception,
                Fields = state is IEnumerable<KeyValuePair<string, object?>> fields
                    ? [.. fields.Where(field => field.Key != Template)]
                    : [],
            };
            write(line.In(options.Format));
        }
    }
}
