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

    /// <summary>Steps in a row without anything to compare with before bulk all but stops, so that there is something
    /// to learn from.</summary>
    private const int UnknownMax = 3;

    /// <summary>While learning, this part of the floor moves.</summary>
    private const double LearningShare = 1.0 / 8;

    /// <summary>Windows at the floor that still look too slow, before it must be what steps take by now.</summary>
    private const int StuckWindows = 3;

    private const double TargetShare = 0.75;
    private const double RaiseShare = 0.5;
    private const double CutMin = 0.4;
    private const double CutMax = 0.9;
    private const double AddedShare = 0.08;
    private const double AddedFloorShare = 0.25;

    private bool _isFirstRise = true;
    private double _tookSeconds;
    private double _dueSeconds;
    private double _movedBytes;
    private double _elapsedSeconds;
    private int _steps;
    private int _unknown;
    private int _stuck;
    private bool _isLearning = true;
    private double _rate = options.StartBytesPerSecond;

    /// <summary>What may move while an engine runs.</summary>
    public double BytesPerSecond => _isLearning ? options.FloorBytesPerSecond * LearningShare : _rate;

    /// <summary>So little moves that steps are as good as undisturbed: what they take now is what they take.</summary>
    public bool TakesStepsAsUndisturbed => _isLearning || _stuck >= StuckWindows;

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
            _isLearning |= ++_unknown >= UnknownMax;
            return;
        }

        _unknown = 0;
        _isLearning = false;
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
            _stuck = _rate > options.FloorBytesPerSecond ? 0 : _stuck + 1;
            // What really moved is what did the harm, when that was less than it might have been.
            var harmful = Math.Min(_rate, Math.Max(movedBytesPerSecond, options.FloorBytesPerSecond));
            Set(harmful * Math.Clamp(target / slowdown, CutMin, CutMax));
            _isFirstRise = false;
            return;
        }

        _stuck = 0;
        // Not beyond what the link gives anyway: a rate far above it could not be brought down in time.
        if (slowdown >= options.SlowdownMax * RaiseShare || movedBytesPerSecond <= _rate / 2) return;
        Set(_isFirstRise
            ? _rate * 2
            : _rate + Math.Max(options.FloorBytesPerSecond * AddedFloorShare, AddedShare * _rate));
    }

    private void Set(double bytesPerSecond)
    {
        _rate = Math.Max(bytesPerSecond, options.FloorBytesPerSecond);
        Invariant.Holds(double.IsFinite(_rate));
    }
}
