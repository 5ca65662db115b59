using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using static System.FormattableString;

namespace SpotServe.Actors.Cluster;

/// <summary>How a reconfiguration went, from its cause to the last release.</summary>
/// <param name="Cause">In a person's words, e.g. "node 127.0.0.1:5103#1f leaves in 28 s".</param>
/// <param name="From">Degrees that served before; null when nothing did.</param>
/// <param name="Phases">In order; the last one may be under way.</param>
/// <param name="Weights">Bytes of weights by where they came from.</param>
/// <param name="PageBytes">KV pages that were copied; pages that stayed in place are not counted.</param>
/// <param name="Pause">From the order to stop until the last new replica served; null when nothing had to stop.</param>
/// <param name="Sequences">Sequences that went over with their state.</param>
/// <param name="TokensRecomputed">Tokens, of the sequences that went over, whose keys and values were in a cache and
/// had to be computed anew. <see cref="Resumed"/> counts those of requests that did not go over.</param>
/// <param name="Outcome">"serving", "under way", or why it was given up.</param>
public sealed record ReconfigurationRecord(
    Epoch Epoch,
    string Cause,
    DateTimeOffset StartedAt,
    LayoutDegrees? From,
    LayoutDegrees To,
    ImmutableArray<ReconfigurationPhase> Phases,
    WeightSources Weights,
    long PageBytes,
    TimeSpan? Pause,
    int Sequences,
    long TokensRecomputed,
    string Outcome)
{
    /// <summary>Nodes whose end or notice led to it, those noticed first before others.</summary>
    public ImmutableArray<DepartedNode> Gone { get; init; } = [];

    /// <summary>Requests that had lost their replica and went on; null while none has.</summary>
    public Resumption? Resumed { get; init; }

    /// <summary>Sequences that should have gone over and did not: they were computed anew from their tokens.</summary>
    public int NotHandedOver { get; init; }

    public const string UnderWay = "under way";
    public const string Served = "serving";

    /// <summary>One line for the log.</summary>
    public override string ToString() =>
        $"{Epoch} {From?.ToString() ?? "nothing"} -> {To} because {Cause}: {Outcome}; "
        + string.Join(", ", Phases.Select(phase => $"{phase.Name} {phase.Duration.TotalMilliseconds:0} ms"))
        + $"; weights {Sizes.Text(Weights.Reused)} reused, {Sizes.Text(Weights.Peers)} from peers, "
        + $"{Sizes.Text(Weights.Folder)} from disk; pages {Sizes.Text(PageBytes)}; "
        + $"pause {(Pause is { } pause ? $"{pause.TotalMilliseconds:0} ms" : "none")}; "
        + $"{Sequences} sequences handed over, {NotHandedOver} not, {TokensRecomputed} tokens recomputed";

    /// <summary>What came of it, for a person: one sentence.</summary>
    public string Story()
    {
        var requests = Resumed is { Requests: > 0 } resumed
            ? $"; {Counted(resumed.Requests, "request")} went on"
                + (resumed.After is { } after ? Invariant($" after {after.TotalSeconds:0.0} s") : "")
                + $"; {Counted(resumed.Tokens, "token")} {(resumed.Tokens == 1 ? "was" : "were")} computed again"
            : Sequences > 0
                ? $"; {Counted(Sequences, "request")} went over"
                    + (Pause is { } pause ? Invariant($" and paused for {pause.TotalSeconds:0.00} s") : "")
                : "";
        return $"{Cause}{requests}";
    }

    private static string Counted(long count, string noun) => Invariant($"{count:N0} {noun}{(count == 1 ? "" : "s")}");
}

/// <summary>Requests that had lost the replica that ran them, and went on at another one from their committed
/// tokens.</summary>
/// <param name="Requests">Those that have drawn a token since.</param>
/// <param name="Tokens">Of theirs, prompts included, that were computed again.</param>
/// <param name="After">From when the loss was noticed until the planner heard of the first one; null where this planner
/// was not there.</param>
public sealed record Resumption(int Requests, long Tokens, TimeSpan? After);

/// <summary>A node that went or will go.</summary>
public sealed record DepartedNode(string Node, NoticedBy By);

/// <summary>By what the planner learned that a node goes.</summary>
public enum NoticedBy
{
    /// <summary>Its process closed its connections, as it does when it is killed.</summary>
    ClosedConnections,

    /// <summary>Nothing came from it for too long.</summary>
    Silence,

    /// <summary>The cluster's membership: it left, or was given up.</summary>
    Membership,

    /// <summary>The machine's cloud, a file or a signal said so.</summary>
    Notice,

    /// <summary>An operator asked for it.</summary>
    Operator,
}

/// <param name="Start">From the reconfiguration's start.</param>
public sealed record ReconfigurationPhase(string Name, TimeSpan Start, TimeSpan Duration);

/// <summary>Bytes of weights: already in the device's memory, fetched from peers, read from the model folder.</summary>
public readonly record struct WeightSources(long Reused, long Peers, long Folder);
