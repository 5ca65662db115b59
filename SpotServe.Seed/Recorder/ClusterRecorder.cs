using System.Text;
using System.Threading.Channels;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Hosting;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Recorder;

/// <summary>
/// Writes what this control node sees of the cluster into a file, for `simulate --replay`. Whoever serves only puts a
/// value into a bounded queue: a disk that is slow or full costs lines of the recording, which are counted, and nothing
/// else.
/// </summary>
internal sealed class ClusterRecorder : IAsyncDisposable
{
    /// <summary>Lines that wait to be written.</summary>
    private const int QueuedMax = 65_536;

    /// <summary>A recording that is longer than this ends: `simulate` reads no larger files.</summary>
    public const long BytesMax = 500L << 20;

    /// <summary>Lines are put together to blocks of about this length while more of them wait.</summary>
    private const int BlockCharacters = 65_536;

    /// <summary>Longest wait for the last lines at the end.</summary>
    private static readonly TimeSpan EndMax = TimeSpan.FromSeconds(3);

    private readonly Channel<RecordedEntry> _queue = Channel.CreateBounded<RecordedEntry>(
        new BoundedChannelOptions(QueuedMax) { SingleReader = true });

    private readonly FileStream _file;
    private readonly TimeProvider _clock;
    private readonly Action<string> _say;
    private readonly long _begun;
    private readonly RecordedView _views = new();
    private readonly Task _writing;
    private long _missing;

    private ClusterRecorder(FileStream file, PlannerOptions planner, TimeProvider clock, Action<string> say)
    {
        (_file, _clock, _say) = (file, clock, say);
        _begun = clock.GetTimestamp();
        // What nodes have to prove is nobody's business later on, and machines that are simulated prove nothing.
        planner = planner with { SecretMark = null, RequiresEncryptedData = false };
        Write(new RecordedEntry.Begun(0, RecordedEntry.Begun.CurrentForm, clock.GetUtcNow(), planner));
        _writing = Task.Run(WriteAllAsync);
    }

    /// <summary>Since the recording began.</summary>
    public double Seconds => _clock.GetElapsedTime(_begun).TotalSeconds;

    /// <param name="say">Hears the one line when a recording ends before its time.</param>
    /// <exception cref="UsageException">The file cannot be written.</exception>
    public static ClusterRecorder Start(string path, PlannerOptions planner, TimeProvider clock, Action<string> say)
    {
        try
        {
            var file = PrivateFiles.Open(path, FileMode.Create, FileAccess.Write, FileShare.Read);
            return new ClusterRecorder(file, planner, clock, say);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new UsageException($"--record {path} cannot be written: {error.Message.TrimEnd('.')}.");
        }
    }

    /// <summary>Records what is new in each view. Views come from one thread.</summary>
    public void OnView(ClusterProtocol.PlannerView view)
    {
        foreach (var entry in _views.New(view, Seconds, _clock.GetUtcNow())) Write(entry);
    }

    /// <summary>Never waits.</summary>
    public void Write(RecordedEntry entry)
    {
        if (!_queue.Writer.TryWrite(entry)) Interlocked.Increment(ref _missing);
    }

    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        try
        {
            await _writing.WaitAsync(EndMax, _clock).ConfigureAwait(false);
            await _file.DisposeAsync().ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _say("The recording was not written to its end: its disk does not answer.");
        }
    }

    private async Task WriteAllAsync()
    {
        var lines = new StringBuilder();
        try
        {
            while (await _queue.Reader.WaitToReadAsync().ConfigureAwait(false))
            {
                while (lines.Length < BlockCharacters && _queue.Reader.TryRead(out var entry)) Add(entry);
                await WriteAsync(lines).ConfigureAwait(false);
                if (_file.Length <= BytesMax) continue;
                _say($"The recording has {BytesMax >> 20} MiB and ends here.");
                break;
            }

            Add(new RecordedEntry.Over(Seconds, Interlocked.Read(ref _missing)));
            await WriteAsync(lines).ConfigureAwait(false);
        }
        catch (IOException error)
        {
            _say($"The recording ends here: {error.Message.TrimEnd('.')}. Serving goes on.");
        }
        finally
        {
            _queue.Writer.TryComplete();
        }

        void Add(RecordedEntry entry) => lines.Append(Recording.Line(entry)).Append('\n');
    }

    /// <summary>Nothing is held back: whatever is known is in the file, whenever the process ends.</summary>
    private async Task WriteAsync(StringBuilder lines)
    {
        await _file.WriteAsync(Encoding.UTF8.GetBytes(lines.ToString())).ConfigureAwait(false);
        lines.Clear();
    }
}
