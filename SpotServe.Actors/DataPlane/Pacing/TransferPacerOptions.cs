namespace SpotServe.Actors.DataPlane;

/// <summary>How far bulk transfers may slow the steps of this node's engines.</summary>
public sealed record TransferPacerOptions
{
    /// <summary>Most that steps may take longer while bulk moves, as a share of what they take without; default
    /// 0.2. The pacer steers to three quarters of it.</summary>
    public double SlowdownMax
    {
        get;
        init => field = Bounds.Between(value, double.Epsilon, 10);
    } = 0.2;

    /// <summary>Bytes per second that always may move, so that a transfer ends some time; default 8 MB/s.</summary>
    public int FloorBytesPerSecond
    {
        get;
        init => field = Bounds.Between(value, 1_000_000, 1_000_000_000);
    } = 8_000_000;

    /// <summary>Bytes per second that the first transfer beside a running engine begins with; it doubles while
    /// decoding does not suffer. Default 64 MB/s.</summary>
    public int StartBytesPerSecond
    {
        get;
        init => field = Bounds.Between(value, 1_000_000, 2_000_000_000);
    } = 64_000_000;

    /// <summary>An engine that ran no step for this long is idle: bulk is not held back. Default 250 ms.</summary>
    public TimeSpan IdleAfter
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(1));
    } = TimeSpan.FromMilliseconds(250);
}
