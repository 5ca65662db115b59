namespace SpotServe.Actors.DataPlane;

/// <summary>How nodes of one replica watch each other.</summary>
public sealed record HeartbeatOptions
{
    /// <summary>Between beats; the same on all nodes. Default 100 ms.</summary>
    public TimeSpan Interval
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromSeconds(10));
    } = TimeSpan.FromMilliseconds(100);

    /// <summary>Silence after which a peer is lost; a few intervals. Default 500 ms.</summary>
    public TimeSpan LostAfter
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(1));
    } = TimeSpan.FromMilliseconds(500);

    /// <summary>Most time until a peer's first beat; default 5 s.</summary>
    public TimeSpan ConnectTimeout
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(5));
    } = TimeSpan.FromSeconds(5);

    /// <summary>Most nodes that this one sends beats to, and most that it watches; default 1,024.</summary>
    public int PeersMax
    {
        get;
        init => field = Bounds.Between(value, 1, 16_384);
    } = 1024;

    /// <exception cref="ArgumentException">The settings do not fit each other.</exception>
    internal void Check()
    {
        if (LostAfter >= 2 * Interval) return;
        throw new ArgumentException(
            $"Peers would be lost after {LostAfter} with a beat every {Interval}: give at least two intervals.",
            nameof(LostAfter));
    }
}
