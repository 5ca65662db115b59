using SpotServe.Actors.Hosting;

namespace SpotServe.Seed.Narration;

/// <summary>Writes the process's log to a file, so that the terminal stays for people.</summary>
internal sealed class FileLoggerProvider : ILoggerProvider
{
    private readonly RotatingLog _log;
    private readonly LineLoggerProvider _lines;

    public FileLoggerProvider(string path, LogOptions options, TimeProvider clock)
    {
        _log = new RotatingLog(path, new RotatingLogOptions { Format = options.Format }, clock);
        _lines = new LineLoggerProvider(options, _log.Write, clock);
    }

    public ILogger CreateLogger(string categoryName) => _lines.CreateLogger(categoryName);

    public void Dispose()
    {
        _lines.Dispose();
        _log.Dispose();
    }
}
