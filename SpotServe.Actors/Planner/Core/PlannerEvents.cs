using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What the planner's journal holds: decisions and the timeline, never tensors.</summary>
internal static class PlannerEvents
{
    public interface IPlannerEvent
    {
        Epoch Epoch { get; }
    }

    /// <summary>A planner has recovered and takes over. Its term is higher than that of every planner before it, and on
    /// all its commands, so that nodes and gateways tell it from one that was given up and woke up.</summary>
    public sealed record PlannerStarted(Epoch Epoch, long Term, DateTimeOffset At) : IPlannerEvent;

    /// <summary>A new layout was chosen; persisted before anything acts on it.</summary>
    /// <param name="Cause">Why, in a person's words, e.g. "node 127.0.0.1:5103 was lost".</param>
    public sealed record LayoutDecided(Epoch Epoch, DateTimeOffset At, string Cause, Layout Layout) : IPlannerEvent;

    /// <summary>The layout before this epoch is about to be stopped: from here on it is never gone back to.</summary>
    public sealed record CutOverBegun(Epoch Epoch, DateTimeOffset At) : IPlannerEvent;

    /// <summary>All positions of the epoch reported ready and it began to serve.</summary>
    public sealed record LayoutActivated(Epoch Epoch, DateTimeOffset At) : IPlannerEvent;

    /// <summary>A reconfiguration is over, well or not: its line in the timeline.</summary>
    public sealed record ReconfigurationEnded(ReconfigurationRecord Record) : IPlannerEvent
    {
        public Epoch Epoch => Record.Epoch;
    }

    /// <summary>All requests go on that had lost their replica: counted when it was done, after the line in the
    /// timeline was written that this belongs to.</summary>
    public sealed record RequestsResumed(Epoch Epoch, Resumption Resumed) : IPlannerEvent;

    /// <summary>Measured step times have taught something new.</summary>
    public sealed record CostsLearned(Epoch Epoch, DateTimeOffset At, CostCorrections Corrections) : IPlannerEvent;

    /// <summary>An operator chose what layouts are chosen for.</summary>
    public sealed record ObjectiveChosen(Epoch Epoch, DateTimeOffset At, ChosenObjective Choice) : IPlannerEvent;

    /// <summary>The machines that the cluster wants have changed.</summary>
    public sealed record FleetWished(Epoch Epoch, DateTimeOffset At, FleetWish Wish) : IPlannerEvent;

    /// <summary>All that matters of the events before it, written while nothing is under way; they may be
    /// deleted.</summary>
    /// <param name="Epoch">The newest that was decided.</param>
    /// <param name="Term">Of the planner that wrote it.</param>
    /// <param name="Serving">Null when nothing serves.</param>
    /// <param name="Timeline">The latest reconfigurations, oldest first.</param>
    public sealed record PlannerCheckpoint(
        Epoch Epoch,
        long Term,
        DateTimeOffset At,
        CheckpointedEpoch? Serving,
        ImmutableArray<ReconfigurationRecord> Timeline) : IPlannerEvent
    {
        public CostCorrections Corrections { get; init; } = CostCorrections.None;

        /// <summary>Null when no operator has chosen.</summary>
        public ChosenObjective? Choice { get; init; }

        /// <summary>Null before the first.</summary>
        public FleetWish? Wish { get; init; }
    }
}

/// <summary>What an operator had layouts chosen for, and what was stated on the command line then: another statement
/// later on counts more.</summary>
internal sealed record ChosenObjective(LayoutObjective? Chosen, LayoutObjective? Stated);

/// <summary>An epoch that serves. Its pages are not part of it: its devices know them.</summary>
internal sealed record CheckpointedEpoch(Epoch Epoch, Layout Layout);
