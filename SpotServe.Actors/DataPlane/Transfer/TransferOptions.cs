namespace SpotServe.Actors.DataPlane;

/// <summary>Bounds of bulk transfers between nodes.</summary>
public sealed record TransferOptions
{
    /// <summary>Largest chunk that a source sends on request.</summary>
    internal const int ChunkBytesMax = 16 * 1024 * 1024;

    /// <summary>Bytes that are checked, paced and asked again together; default 1 MiB.</summary>
    public int ChunkBytes
    {
        get;
        init => field = Bounds.Between(value, 4096, ChunkBytesMax);
    } = 1024 * 1024;

    /// <summary>Most fetches of this node that run at once, each on a thread; more wait. Default 8.</summary>
    public int FetchesMax
    {
        get;
        init => field = Bounds.Between(value, 1, 256);
    } = 8;

    /// <summary>Most connections of this node to one source; default 2.</summary>
    public int ConnectionsPerPeerMax
    {
        get;
        init => field = Bounds.Between(value, 1, 64);
    } = 2;

    /// <summary>Most connections that this node serves, each with a thread; the one that has been idle longest makes
    /// room, and when none is idle new ones are told to try again. Default 32.</summary>
    public int ServingMax
    {
        get;
        init => field = Bounds.Between(value, 1, 1024);
    } = 32;

    /// <summary>Most time without a byte at either end before the other is given up; default 5 s.</summary>
    public TimeSpan ProgressTimeout
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(5));
    } = TimeSpan.FromSeconds(5);

    /// <summary>Most time that a connection is kept without a request; default 30 s.</summary>
    public TimeSpan IdleTimeout
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(30));
    } = TimeSpan.FromSeconds(30);

    /// <summary>Most time that a source may be too busy to be asked at all; default 30 s.</summary>
    public TimeSpan BusyTimeout
    {
        get;
        init => field = Bounds.Positive(value, TimeSpan.FromMinutes(10));
    } = TimeSpan.FromSeconds(30);

    /// <summary>Most tries in a row that bring no good chunk (broken connection, failed checksum); default 5.</summary>
    public int TriesMax
    {
        get;
        init => field = Bounds.Between(value, 1, 100);
    } = 5;
}
