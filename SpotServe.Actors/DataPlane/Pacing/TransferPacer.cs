namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Holds back the bulk transfers of a node, in and out, so that the steps of its engines hardly slow down. Engines
/// report their steps; whoever moves bulk takes leave for each chunk. Nothing is held back while no engine runs.
/// Thread-safe.
/// </summary>
public sealed class TransferPacer(TransferPacerOptions options, TimeProvider time)
{
    /// <summary>After the last chunk, steps count as disturbed for this long: it takes a while to go out.</summary>
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(500);

    /// <summary>Longest sleep of a taker: an engine that falls idle meanwhile frees it.</summary>
    private static readonly TimeSpan NapMax = TimeSpan.FromMilliseconds(20);

    /// <summary>Longest that one chunk is held back, well below the time after which the other end gives up.</summary>
    private static readonly TimeSpan TakeMax = TimeSpan.FromSeconds(2);

    /// <summary>What may be saved up while nobody takes.</summary>
    private static readonly TimeSpan BurstMax = TimeSpan.FromMilliseconds(10);

    private readonly Lock _gate = new();
    private readonly PacingLaw _law = new(options);
    private double _credit;
    private long _creditAt = time.GetTimestamp();
    private long? _movedAt;
    private long? _stepEndedAt;
    private double _movedBytes;
    private int _running;

    /// <summary>What may move per second now; infinite while no engine runs.</summary>
    public double BytesPerSecond
    {
        get
        {
            lock (_gate) return IsIdle(time.GetTimestamp()) ? double.PositiveInfinity : _law.BytesPerSecond;
        }
    }

    /// <summary>For one engine thread, which disposes it at its end.</summary>
    public StepMeter Meter() => new(this);

    /// <summary>Waits until so many bytes may move.</summary>
    /// <param name="isUrgent">Goes at once: nothing decodes while it moves.</param>
    /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
    public void Take(int bytes, bool isUrgent, CancellationToken cancel)
    {
        var begun = time.GetTimestamp();
        while (true)
        {
            var isLate = time.GetElapsedTime(begun) >= TakeMax;
            var wait = TryTake(bytes, isUrgent || isLate);
            if (wait <= TimeSpan.Zero) return;
            if (cancel.WaitHandle.WaitOne(wait < NapMax ? wait : NapMax)) cancel.ThrowIfCancellationRequested();
        }
    }

    /// <returns>Zero when the bytes may move and have been counted; else how long to wait before asking
    /// again.</returns>
    internal TimeSpan TryTake(int bytes, bool isUrgent)
    {
        lock (_gate)
        {
            var now = time.GetTimestamp();
            var rate = _law.BytesPerSecond;
            var since = time.GetElapsedTime(_creditAt, now).TotalSeconds;
            _credit = Math.Min(_credit + (rate * since), rate * BurstMax.TotalSeconds);
            _creditAt = now;
            var isFree = isUrgent || IsIdle(now);
            // Below zero is a debt, so that chunks larger than any credit pass too, at the right distance.
            if (!isFree && _credit < 0) return TimeSpan.FromSeconds(-_credit / rate);
            if (!isFree) _credit -= bytes;
            _movedBytes += bytes;
            _movedAt = now;
            return TimeSpan.Zero;
        }
    }

    internal long Begin()
    {
        lock (_gate)
        {
            _running++;
            return time.GetTimestamp();
        }
    }

    internal void End(long began, int tokens, StepBaseline baseline)
    {
        lock (_gate)
        {
            _running--;
            var now = time.GetTimestamp();
            var seconds = time.GetElapsedTime(began, now).TotalSeconds;
            StepMetrics.Seconds.Record(seconds);
            var sinceLast = time.GetElapsedTime(_stepEndedAt ?? began, now).TotalSeconds;
            _stepEndedAt = now;
            var isDisturbed = _movedAt is { } moved && time.GetElapsedTime(moved, began) < Settle;
            if (isDisturbed) _law.Observe(seconds, baseline.Of(tokens), _movedBytes, sinceLast);
            else _law.Clear();
            _movedBytes = 0;
            if (!isDisturbed || _law.TakesStepsAsUndisturbed) baseline.Learn(tokens, seconds);
        }
    }

    internal void Abandon()
    {
        lock (_gate) _running--;
    }

    private bool IsIdle(long now) => _running == 0
        && (_stepEndedAt is not { } ended || time.GetElapsedTime(ended, now) > options.IdleAfter);
}

/// <summary>Reports one engine's steps to the pacer of its node. For one thread.</summary>
public sealed class StepMeter : IDisposable
{
    private readonly TransferPacer _pacer;
    private readonly StepBaseline _baseline = new();
    private long? _began;

    internal StepMeter(TransferPacer pacer) => _pacer = pacer;

    public void Begin()
    {
        Invariant.Holds(_began is null);
        _began = _pacer.Begin();
    }

    /// <param name="tokens">Of the step that <see cref="Begin"/> began.</param>
    public void End(int tokens)
    {
        Invariant.Holds(_began is not null);
        _pacer.End(_began.Value, tokens, _baseline);
        _began = null;
    }

    /// <summary>Ends a step that failed, if one runs: the engine is idle from now on.</summary>
    public void Dispose()
    {
        if (_began is not null) _pacer.Abandon();
        _began = null;
    }
}
