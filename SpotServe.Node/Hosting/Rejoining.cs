namespace SpotServe.Node.Hosting;

/// <summary>
/// When to try to join again after a membership was lost: at once, then after ever longer pauses, until the time is
/// over. Pure.
/// </summary>
/// <param name="lostAt">When the membership ended.</param>
/// <param name="most">How long it is tried, from then on.</param>
internal sealed class Rejoining(DateTimeOffset lostAt, TimeSpan most)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PauseMax = TimeSpan.FromSeconds(16);

    private int _tries;

    /// <summary>Time that is left; zero or less when it is over.</summary>
    public TimeSpan Left(DateTimeOffset now) => lostAt + most - now;

    /// <summary>The pause before the next try, never longer than what is left; each call is a try.</summary>
    public TimeSpan NextPause(DateTimeOffset now)
    {
        var pause = _tries == 0 ? TimeSpan.Zero : FirstPause * (1 << Math.Min(_tries - 1, 10));
        _tries++;
        if (pause > PauseMax) pause = PauseMax;
        var left = Left(now);
        return pause < left ? pause : left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }
}
