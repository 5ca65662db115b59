using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>How a reconfiguration went, from its cause to the last release.</summary>
/// <param name="Cause">In a person's words, e.g. "node 127.0.0.1:5103#1f leaves in 28 s".</param>
/// <param name="From">Degrees that served before; null when nothing did.</param>
/// <param name="Phases">In order; the last one may be under way.</param>
/// <param name="Weights">Bytes of weights by where they came from.</param>
/// <param name="PageBytes">KV pages that were copied; pages that stayed in place are not counted.</param>
/// <param name="Pause">From the order to stop until the last new replica served; null when nothing had to stop.</param>
/// <param name="Sequences">Sequences that went over with their state.</param>
/// <param name="TokensRecomputed">Tokens whose keys and values were in a cache and had to be computed anew.</param>
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
}

/// <param name="Start">From the reconfiguration's start.</param>
public sealed record ReconfigurationPhase(string Name, TimeSpan Start, TimeSpan Duration);

/// <summary>Bytes of weights: already in the device's memory, fetched from peers, read from the model folder.</summary>
public readonly record struct WeightSources(long Reused, long Peers, long Folder);
