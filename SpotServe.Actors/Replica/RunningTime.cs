namespace SpotServe.Actors.Replica;

/// <summary>How long requests ran, added up. No clock: instants are given, each at least the one before.</summary>
internal sealed class RunningTime
{
    private TimeSpan? _at;
    private int _running;

    /// <summary>Over all requests.</summary>
    public TimeSpan Sequences { get; private set; }

    /// <summary>While at least one ran.</summary>
    public TimeSpan Busy { get; private set; }

    /// <param name="running">Requests that run from now on.</param>
    public void Advance(TimeSpan now, int running)
    {
        var passed = now - (_at ?? now);
        Sequences += passed * _running;
        if (_running > 0) Busy += passed;
        (_at, _running) = (now, running);
    }
}
