using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// A text writer that neither waits nor throws nor grows: text goes through a bounded queue to a thread that writes it.
/// What finds the queue full is dropped and counted, and the count is written where the text is missing. So a terminal
/// whose reader stopped, or a pipe without a reader, holds up nothing. Thread-safe.
/// </summary>
internal sealed class BoundedWriter : TextWriter
{
    /// <summary>Texts that wait at most.</summary>
    public const int TextsMax = 1024;

    /// <summary>Longest text that is kept whole.</summary>
    public const int CharsMax = 16 << 10;

    private readonly TextWriter _inner;
    private readonly BlockingCollection<string> _texts = new(TextsMax);
    private readonly Thread _thread;
    private long _dropped;

    /// <param name="inner">Written by one thread of this writer only; stays its owner's.</param>
    public BoundedWriter(TextWriter inner)
        : base(CultureInfo.InvariantCulture)
    {
        _inner = inner;
        // A thread of its own: a pipe that is full holds it for as long as it likes.
        _thread = new Thread(Run) { IsBackground = true, Name = "terminal" };
        _thread.Start();
    }

    public override Encoding Encoding => _inner.Encoding;

    /// <summary>Texts that were dropped and not told of yet.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    public override void Write(char value) => Add(value.ToString());

    public override void Write(char[] buffer, int index, int count) => Add(new string(buffer, index, count));

    public override void Write(string? value)
    {
        if (!string.IsNullOrEmpty(value)) Add(value);
    }

    public override void WriteLine(string? value) => Add(value + CoreNewLine[0]);

    public override void WriteLine() => Add(CoreNewLine[0].ToString());

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

    /// <summary>Takes no more text, and waits a limited time for what is in the queue to be written.</summary>
    public bool Finish(TimeSpan max)
    {
        if (!_texts.IsAddingCompleted) _texts.CompleteAdding();
        return _thread.Join(max);
    }

    private void Add(string text)
    {
        if (text.Length > CharsMax) text = text[..CharsMax] + "..." + CoreNewLine[0];
        try
        {
            if (_texts.TryAdd(text)) return;
        }
        catch (InvalidOperationException)
        {
            // Finished: nobody reads what is said now.
        }

        Interlocked.Increment(ref _dropped);
    }

    private void Run()
    {
        foreach (var text in _texts.GetConsumingEnumerable())
        {
            var dropped = Interlocked.Exchange(ref _dropped, 0);
            try
            {
                if (dropped > 0) _inner.WriteLine($"({dropped} lines were dropped here: the reader was too slow)");
                _inner.Write(text);
                _inner.Flush();
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException)
            {
                // The reader is gone, or the disk behind it is full. There is nobody to tell.
                Interlocked.Add(ref _dropped, dropped + 1);
            }
        }
    }
}
