using SpotServe.Actors;

namespace SpotServe.Seed.Fleet;

/// <summary>Limits of a fleet of node processes on this machine.</summary>
public sealed record LocalFleetOptions
{
    /// <summary>Nodes that run at the same time, at most.</summary>
    public const int NodesMax = 64;

    /// <summary>Compute threads of one node, at most.</summary>
    public const int ThreadsMax = 1024;

    public required NodeProgram Program { get; init; }

    /// <summary>Nodes that share the machine's cores, 1 to <see cref="NodesMax"/>.</summary>
    public required int NodeCount
    {
        get;
        init => field = Bounds.Between(value, 1, NodesMax);
    }

    /// <summary>Time from the request to stop until a node is killed. 5 s for all, with something to spare.</summary>
    public TimeSpan StopGrace
    {
        get;
        init => field = value >= TimeSpan.Zero && value <= TimeSpan.FromMinutes(10)
            ? value
            : throw new ArgumentOutOfRangeException(nameof(StopGrace), value, "Must be 0 to 10 minutes.");
    } = TimeSpan.FromSeconds(4);

    /// <summary>Longest line of output that is passed on whole; a longer one is cut into several.</summary>
    public int LineCharactersMax
    {
        get;
        init => field = Bounds.Between(value, 16, 1_048_576);
    } = 4096;

    /// <summary>Added to each node's environment; wins over what the fleet sets.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Compute threads of each node that were asked for, 1 to <see cref="ThreadsMax"/>; null shares the
    /// cores out.</summary>
    public int? Threads
    {
        get;
        init => field = value is { } threads ? Bounds.Between(threads, 1, ThreadsMax) : null;
    }

    /// <summary>Compute threads of one node.</summary>
    public int ThreadsPerNode => Threads ?? Math.Max(1, System.Environment.ProcessorCount / NodeCount);
}

/// <summary>A node process that ended.</summary>
/// <param name="Index">Its number in the fleet, in order of starting.</param>
/// <param name="ExitCode">128 + n when signal n ended it.</param>
/// <param name="Requested">The fleet had been asked to stop or kill it.</param>
public sealed record NodeExit(int Index, int ProcessId, int ExitCode, bool Requested);
