using System.Globalization;

namespace SpotServe.Seed.Narration;

/// <summary>
/// Writes the process's log to a file, so that the terminal stays for people. The file starts anew with each process
/// and stops growing at <see cref="BytesMax"/>.
/// </summary>
internal sealed class FileLoggerProvider : ILoggerProvider
{
    private const long BytesMax = 64 << 20;
    private readonly StreamWriter _file;
    private readonly TimeProvider _clock;

    public FileLoggerProvider(string path, TimeProvider clock)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        _file = new StreamWriter(path, append: false) { AutoFlush = true };
        _clock = clock;
    }

    public ILogger CreateLogger(string categoryName) => new FileLogger(this, categoryName);

    public void Dispose()
    {
        lock (_file) _file.Dispose();
    }

    private void Write(string line)
    {
        lock (_file)
        {
            if (_file.BaseStream is { CanWrite: true, Position: < BytesMax }) _file.WriteLine(line);
        }
    }

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
            var time = provider._clock.GetUtcNow().ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);
            provider.Write($"{time} {logLevel} {category}: {formatter(state, exception)}");
            if (exception is not null) provider.Write(exception.ToString());
        }
    }
}
