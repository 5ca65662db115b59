using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>What the planner's journal says: the fold of its events, the same while the planner runs and when another
/// one recovers.</summary>
/// <param name="Epoch">The newest that was decided.</param>
/// <param name="Term">Of the planner that started last.</param>
/// <param name="Decided">The newest layout that was decided; null when a checkpoint followed it.</param>
/// <param name="Serving">The epoch that was activated last and not told to stop since. Its replicas may be lost all the
/// same: its devices say.</param>
/// <param name="Timeline">The latest reconfigurations, oldest first.</param>
/// <param name="EntriesSinceCheckpoint">Entries that the next checkpoint makes needless.</param>
internal sealed record JournalState(
    Epoch Epoch,
    long Term,
    LayoutDecided? Decided,
    CheckpointedEpoch? Serving,
    ImmutableList<ReconfigurationRecord> Timeline,
    int EntriesSinceCheckpoint)
{
    private const int TimelineMax = 100;

    /// <summary>What measured step times have taught.</summary>
    public CostCorrections Corrections { get; init; } = CostCorrections.None;

    /// <summary>When that was written last; null when it was not since the last checkpoint.</summary>
    public DateTimeOffset? LearnedAt { get; init; }

    /// <summary>What an operator chose that layouts are chosen for; null when none did.</summary>
    public ChosenObjective? Choice { get; init; }

    /// <summary>The machines that the cluster wanted last.</summary>
    public FleetWish? Wish { get; init; }

    public static JournalState Empty { get; } = new(Epoch.None, 0, null, null, [], 0);

    public JournalState Apply(IPlannerEvent happened)
    {
        var next = happened switch
        {
            // The epoch counts where an entry before was damaged: the planner that found it is sure of no lower one.
            PlannerStarted started => this with
            {
                Term = started.Term,
                Epoch = started.Epoch > Epoch ? started.Epoch : Epoch,
            },
            LayoutDecided decided => this with { Epoch = decided.Epoch, Decided = decided },
            // From here on what served cannot be gone back to.
            CutOverBegun => this with { Serving = null },
            // Unknown is an epoch of a planner that was replaced long ago and wrote where entries had been deleted: a
            // checkpoint follows.
            LayoutActivated activated => this with
            {
                Serving = Decided is { } layout && layout.Epoch == activated.Epoch
                    ? new CheckpointedEpoch(activated.Epoch, layout.Layout)
                    : null,
            },
            ReconfigurationEnded ended => this with { Timeline = Remember(ended.Record) },
            CostsLearned learned => this with { Corrections = learned.Corrections, LearnedAt = learned.At },
            ObjectiveChosen chosen => this with { Choice = chosen.Choice },
            FleetWished wished => this with { Wish = wished.Wish },
            PlannerCheckpoint checkpoint => new JournalState(
                checkpoint.Epoch, checkpoint.Term, null, checkpoint.Serving, [.. checkpoint.Timeline], -1)
            {
                Corrections = checkpoint.Corrections,
                LearnedAt = checkpoint.At,
                Choice = checkpoint.Choice,
                Wish = checkpoint.Wish,
            },
            _ => throw new InvariantException($"the planner's journal has an unknown event {happened}"),
        };
        return next with { EntriesSinceCheckpoint = next.EntriesSinceCheckpoint + 1 };
    }

    /// <summary>Goes on without an entry that cannot be read. It may have been any: an epoch decided, a term begun, or
    /// the order to stop what serves. Each entry raises the epoch and the term by one at most, so its number is no less
    /// than either; and that nothing is known to serve costs a new layout, where the opposite could have two replicas
    /// serve one request.</summary>
    public JournalState Without(long sequenceNumber) => this with
    {
        Epoch = sequenceNumber > Epoch.Value ? new Epoch(sequenceNumber) : Epoch,
        Term = Math.Max(Term, sequenceNumber),
        Decided = null,
        Serving = null,
        EntriesSinceCheckpoint = EntriesSinceCheckpoint + 1,
    };

    /// <summary>All of this as one event.</summary>
    public PlannerCheckpoint Checkpoint(DateTimeOffset now) => new(Epoch, Term, now, Serving, [.. Timeline])
    {
        Corrections = Corrections,
        Choice = Choice,
        Wish = Wish,
    };

    private ImmutableList<ReconfigurationRecord> Remember(ReconfigurationRecord record)
    {
        var timeline = Timeline.Add(record);
        return timeline.Count > TimelineMax ? timeline.RemoveAt(0) : timeline;
    }
}
