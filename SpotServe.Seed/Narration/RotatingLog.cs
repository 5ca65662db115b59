using System.Globalization;
using System.Text;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Persistence;
using static System.FormattableString;

namespace SpotServe.Seed.Narration;

/// <summary>Bounds of a log.</summary>
internal sealed record RotatingLogOptions
{
    /// <summary>A file that would grow beyond it gets a number, and a new one begins; default 16 MiB.</summary>
    public long FileBytesMax { get; init; } = 16 << 20;

    /// <summary>Files that are kept, the one that is written included; default 4.</summary>
    public int FilesMax { get; init; } = 4;

    /// <summary>A longer line is cut; default 16,384 characters.</summary>
    public int LineCharactersMax { get; init; } = 16_384;

    /// <summary>Of the log's own lines; default text.</summary>
    public LogFormat Format { get; init; }

    /// <summary>What may wait for the disk; what comes on top of it is dropped and counted. Default 2 Mi
    /// characters.</summary>
    public int WaitingCharactersMax { get; init; } = 2 << 20;
}

/// <summary>
/// A log file that goes on where the process before stopped, rotates (name.log, name.1.log, ...) and never gets in
/// anybody's way: <see cref="Write"/> neither throws nor waits for the disk. What cannot be kept is counted, and the
/// file says how much that was. Only the file's owner can read it. Thread-safe.
/// </summary>
internal sealed class RotatingLog : IDisposable
{
    private const int BatchCharacters = 64 << 10;

    /// <summary>After an error nothing is tried for so long: a full disk does not get free by being asked.</summary>
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    /// <summary>The last lines are worth this wait at the end of the process, and no more.</summary>
    private static readonly TimeSpan DrainMax = TimeSpan.FromSeconds(2);

    private readonly string _path;
    private readonly RotatingLogOptions _options;
    private readonly TimeProvider _clock;
    private readonly object _gate = new();   // Of the four fields below; never held while the disk is used.
    private readonly Queue<string> _waiting = new();
    private long _waitingCharacters;
    private long _linesDropped;
    private bool _isEnding;

    private readonly Thread _writer;
    private FileStream? _file;   // This and the rest belong to the writer's thread.
    private string? _failure;
    private DateTimeOffset _retryAt;
    private long _bytesDeleted;

    /// <exception cref="IOException">The folder cannot be made or the file not be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The same.</exception>
    public RotatingLog(string path, RotatingLogOptions options, TimeProvider clock)
    {
        _path = path;
        _options = options;
        _clock = clock;
        PrivateFiles.CreateFolder(Path.GetDirectoryName(path)!);
        _file = Open();
        Append(Mark(Invariant($"process {Environment.ProcessId} begins")));
        // A thread of its own: the pool's threads may all be busy just when the log has to tell why.
        _writer = new Thread(WriteAll) { IsBackground = true, Name = $"log {Path.GetFileName(path)}" };
        _writer.Start();
    }

    /// <summary>Lines that are lost and that the file does not tell of yet.</summary>
    public long LinesDropped
    {
        get
        {
            lock (_gate) return _linesDropped;
        }
    }

    /// <summary>Takes a line to write it soon, or drops and counts it.</summary>
    public void Write(string line)
    {
        if (line.Length > _options.LineCharactersMax)
        {
            var rest = line.Length - _options.LineCharactersMax;
            line = $"{line.AsSpan(0, _options.LineCharactersMax)} [and {rest} characters more]";
        }

        lock (_gate)
        {
            if (_isEnding || _waitingCharacters + line.Length >= _options.WaitingCharactersMax)
            {
                _linesDropped++;
                return;
            }

            _waiting.Enqueue(line);
            _waitingCharacters += line.Length + 1;
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Writes what waits, if the disk takes it in time.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isEnding = true;
            Monitor.Pulse(_gate);
        }

        _writer.Join(DrainMax);
    }

    private void WriteAll()
    {
        var batch = new StringBuilder();
        while (Take(batch) is { } lines)
        {
            if (Append(batch.ToString())) continue;
            lock (_gate) _linesDropped += lines;
        }

        _file?.Dispose();
    }

    /// <summary>Waits for lines and takes many at once, with the count of those that are lost before them.</summary>
    /// <returns>How many lines are lost if these are; null when there will be none any more.</returns>
    private long? Take(StringBuilder batch)
    {
        batch.Clear();
        lock (_gate)
        {
            while (_waiting.Count == 0)
            {
                if (_isEnding) return null;
                Monitor.Wait(_gate);
            }

            var lines = _linesDropped;
            if (lines > 0) batch.Append(Mark(Invariant($"{lines} lines were dropped here{Because()}")));
            _linesDropped = 0;
            while (batch.Length < BatchCharacters && _waiting.TryDequeue(out var line))
            {
                _waitingCharacters -= line.Length + 1;
                batch.Append(line).Append('\n');
                lines++;
            }

            return lines;
        }
    }

    private string Because() => _failure is null ? "" : $": {_failure}";

    /// <summary>Appends whole lines or nothing.</summary>
    private bool Append(string text)
    {
        if (_failure is not null && _clock.GetUtcNow() < _retryAt) return false;
        var bytes = Encoding.UTF8.GetBytes(text);
        long? start = null;
        try
        {
            _file ??= Open();
            if (_file.Length > 0 && _file.Length + bytes.Length > _options.FileBytesMax) Rotate();
            start = _file.Length;
            _file.Write(bytes);
            _failure = null;
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            _failure = error.Message;
            _retryAt = _clock.GetUtcNow() + RetryAfter;
            Abandon(start);
            return false;
        }
    }

    /// <summary>Takes back what a failed write left, and has the next try open the file anew.</summary>
    private void Abandon(long? start)
    {
        try
        {
            if (start is { } length) _file?.SetLength(length);
            _file?.Dispose();
        }
        catch (IOException)
        {
            // Half a line stays at the end. The next batch begins with a line that says what was dropped.
        }

        _file = null;
    }

    private FileStream Open() => PrivateFiles.Append(_path);

    private void Rotate()
    {
        _file!.Dispose();
        _file = null;
        var oldest = new FileInfo(Numbered(_options.FilesMax - 1));
        if (oldest.Exists) _bytesDeleted += oldest.Length;
        for (var number = _options.FilesMax - 2; number >= 0; number--)
        {
            if (File.Exists(Numbered(number))) File.Move(Numbered(number), Numbered(number + 1), overwrite: true);
        }

        _file = Open();
        _file.Write(Encoding.UTF8.GetBytes(Mark(Invariant(
            $"goes on from {Path.GetFileName(Numbered(1))}; {_bytesDeleted} older bytes were deleted"))));
    }

    private string Numbered(int number) => number == 0 ? _path : Path.ChangeExtension(
        _path, Invariant($"{number}{Path.GetExtension(_path)}"));

    /// <summary>A line of the log about itself.</summary>
    private string Mark(string text) => _options.Format == LogFormat.Json
        ? new LogLine(_clock.GetUtcNow(), LogLevel.Information, "Log", null, text).In(LogFormat.Json) + "\n"
        : $"--- {_clock.GetUtcNow().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)} {text}\n";
}
