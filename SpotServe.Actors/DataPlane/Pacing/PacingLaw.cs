namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The control law of bulk transfers beside decoding, without clock or threads: from how long steps took beside how
/// long they take undisturbed to the bytes per second that may move. Doubles at first, then adds while steps are
/// well within the limit and multiplies by less than one when they come near it.
/// </summary>
internal sealed class PacingLaw(TransferPacerOptions options)
{
    /// <summary>Steps are judged together, at least so many and for so long: single ones scatter too much, and chunks
    /// come one at a time.</summary>
    public const int WindowSteps = 4;

    public const double WindowSeconds = 0.1;

    /// <summary>Steps in a row without anything to compare with before the rate falls to the floor, where steps are
    /// as good as undisturbed and can be learnt from.</summary>
    private const int UnknownMax = 3;

    private const double TargetShare = 0.75;
    private const double RaiseShare = 0.5;
    private const double CutMin = 0.4;
    private const double CutMax = 0.9;
    private const double AddedShare = 0.08;

    private bool _isFirstRise = true;
    private double _tookSeconds;
    private double _dueSeconds;
    private double _movedBytes;
    private double _elapsedSeconds;
    private int _steps;
    private int _unknown;

    /// <summary>What may move while an engine runs.</summary>
    public double BytesPerSecond { get; private set; } = options.StartBytesPerSecond;

    public bool IsAtFloor => BytesPerSecond <= options.FloorBytesPerSecond;

    /// <summary>A step ended while bulk moved.</summary>
    /// <param name="dueSeconds">What it takes undisturbed; null when that is not known.</param>
    /// <param name="movedBytes">Bulk since the last step ended.</param>
    /// <param name="elapsedSeconds">Time since the last step ended.</param>
    public void Observe(double tookSeconds, double? dueSeconds, double movedBytes, double elapsedSeconds)
    {
        _movedBytes += movedBytes;
        _elapsedSeconds += elapsedSeconds;
        if (dueSeconds is null)
        {
            if (++_unknown >= UnknownMax) FallToFloor();
            return;
        }

        _unknown = 0;
        _tookSeconds += tookSeconds;
        _dueSeconds += dueSeconds.Value;
        if (++_steps < WindowSteps || _elapsedSeconds < WindowSeconds) return;
        Adjust(_tookSeconds / _dueSeconds, _movedBytes / _elapsedSeconds);
        Clear();
    }

    /// <summary>No bulk moves: what was seen says nothing about the next transfer.</summary>
    public void Clear()
    {
        (_steps, _tookSeconds, _dueSeconds, _movedBytes, _elapsedSeconds) = (0, 0, 0, 0, 0);
        _unknown = 0;
    }

    private void Adjust(double ratio, double movedBytesPerSecond)
    {
        var slowdown = ratio - 1;
        var target = options.SlowdownMax * TargetShare;
        if (slowdown > target)
        {
            // What really moved is what did the harm, when that was less than it might have been.
            var harmful = Math.Min(BytesPerSecond, Math.Max(movedBytesPerSecond, options.FloorBytesPerSecond));
            Set(harmful * Math.Clamp(target / slowdown, CutMin, CutMax));
            _isFirstRise = false;
        }
        else if (slowdown < options.SlowdownMax * RaiseShare && movedBytesPerSecond > BytesPerSecond / 2)
        {
            // Not beyond what the link gives anyway: a rate far above it could not be brought down in time.
            Set(_isFirstRise
                ? BytesPerSecond * 2
                : BytesPerSecond + Math.Max(options.FloorBytesPerSecond, AddedShare * BytesPerSecond));
        }
    }

    private void FallToFloor()
    {
        _isFirstRise = true;
        Set(options.FloorBytesPerSecond);
        Clear();
    }

    private void Set(double bytesPerSecond)
    {
        BytesPerSecond = Math.Max(bytesPerSecond, options.FloorBytesPerSecond);
        Invariant.Holds(double.IsFinite(BytesPerSecond));
    }
}
