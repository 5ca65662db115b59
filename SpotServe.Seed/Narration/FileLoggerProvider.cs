using System.Globalization;

namespace SpotServe.Seed.Narration;

/// <summary>Writes the process's log to a file, so that the terminal stays for people.</summary>
internal sealed class FileLoggerProvider(string path, TimeProvider clock) : ILoggerProvider
{
    private readonly RotatingLog _log = new(path, new RotatingLogOptions(), clock);

    public ILogger CreateLogger(string categoryName) => new FileLogger(this, categoryName);

    public void Dispose() => _log.Dispose();

    private void Write(string line) => _log.Write(
        $"{clock.GetUtcNow().ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture)} {line}");

    private sealed class FileLogger(FileLoggerProvider provider, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(
            LogLevel logLevel,
            EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            var text = $"{logLevel} {category}: {formatter(state, exception)}";
            provider.Write(exception is null ? text : $"{text}\n{exception}");
        }
    }
}
