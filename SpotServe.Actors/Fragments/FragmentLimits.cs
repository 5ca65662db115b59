namespace SpotServe.Actors.Fragments;

/// <summary>Bounds of what large messages take: on the wire at once, in memory, in time.</summary>
internal sealed record FragmentLimits
{
    /// <summary>
    /// Longest message, whole. A prompt and its completion at the most that the API can be set to (2 x 1,048,576
    /// tokens of up to 5 bytes) fit, and so does the view of a cluster of some ten thousand nodes.
    /// </summary>
    public const int MessageBytesMax = 16 << 20;

    private const long All = long.MaxValue;

    private static readonly TimeSpan Longest = TimeSpan.FromHours(1);

    public static FragmentLimits Default { get; } = new();

    /// <summary>What is longer goes in fragments: half of what one frame of Akka.Remote carries.</summary>
    public int WholeBytesMax { get; init => field = Bounds.Between(value, 1, int.MaxValue); } = 60_000;

    /// <summary>Bytes of a message in each fragment but the last: a quarter of a frame.</summary>
    public int FragmentBytes { get; init => field = Bounds.Between(value, 1, int.MaxValue); } = 32 << 10;

    /// <summary>Fragments of a transfer that are on their way at once.</summary>
    public int WindowFragments { get; init => field = Bounds.Between(value, 1, int.MaxValue); } = 2;

    /// <summary>
    /// Transfers to one process at once. With the window it bounds what a heartbeat may have to wait behind: 256 KiB,
    /// 20 ms of a link of 100 Mb/s.
    /// </summary>
    public int TransfersMax { get; init => field = Bounds.Between(value, 1, int.MaxValue); } = 4;

    /// <summary>
    /// Bytes that wait in this process to be sent, to all others. A planner of 1,000 nodes tells each of them the whole
    /// layout at once: 200 kB each.
    /// </summary>
    public long WaitingBytesMax { get; init => field = Bounds.Between(value, 1, All); } = 512L << 20;

    /// <summary>A transfer for which nothing comes for this long, at either end, is lost.</summary>
    public TimeSpan SilenceMax { get; init => field = Bounds.Positive(value, Longest); } = TimeSpan.FromSeconds(3);

    /// <summary>A transfer that is not complete after this long is given up by its receiver.</summary>
    public TimeSpan TransferMax { get; init => field = Bounds.Positive(value, Longest); } = TimeSpan.FromSeconds(60);

    /// <summary>Incomplete transfers of one sender that a receiver keeps; a further one takes the place of the one
    /// that has been silent for longest.</summary>
    public int IncomingFromOneMax { get; init => field = Bounds.Between(value, 1, int.MaxValue); } = 16;

    /// <summary>Bytes of incomplete messages of one sender that a receiver keeps.</summary>
    public long IncomingFromOneBytesMax { get; init => field = Bounds.Between(value, 1, All); } = 4L * MessageBytesMax;

    /// <summary>Bytes of incomplete messages of all senders that a receiver keeps.</summary>
    public long IncomingBytesMax { get; init => field = Bounds.Between(value, 1, All); } = 8L * MessageBytesMax;

    /// <summary>Senders that a receiver knows at once; a further one takes the place of the one silent for
    /// longest.</summary>
    public int SendersMax { get; init => field = Bounds.Between(value, 1, int.MaxValue); } = 4_096;

    /// <summary>How many fragments a message of that length takes.</summary>
    public int Count(int messageBytes) => (int)(((long)messageBytes + FragmentBytes - 1) / FragmentBytes);

    /// <summary>Content of a fragment, in bytes.</summary>
    public int BytesOf(int index, int messageBytes) =>
        (int)Math.Min(FragmentBytes, messageBytes - ((long)index * FragmentBytes));
}
