using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.PlannerEvents;

namespace SpotServe.Actors.Cluster;

/// <summary>What the planner reads from its journal when it starts, and how it keeps that short.</summary>
public sealed partial class PlannerActor
{
    private const int TimelineMax = 100;

    /// <summary>Sequence number of the last checkpoint; 0 when there is none.</summary>
    private long _checkpointAt;

    private void RecoversFromJournal()
    {
        var decided = new Dictionary<Epoch, Layout>();
        Recover<LayoutDecided>(happened =>
        {
            _epoch = happened.Epoch;
            decided[happened.Epoch] = happened.Layout;
        });
        // Its pages are only known once its devices have reported; until then nothing is planned from it. Unknown is an
        // epoch of a planner that was replaced long ago and wrote where entries had been deleted: a checkpoint follows.
        Recover<LayoutActivated>(happened => _serving = decided.TryGetValue(happened.Epoch, out var layout)
            ? new ServingEpoch(happened.Epoch, layout, [])
            : null);
        Recover<CutOverBegun>(_ => _serving = null);
        Recover<ReconfigurationEnded>(ended => Remember(ended.Record));
        Recover<PlannerStarted>(started => _term = started.Term);
        Recover<PlannerCheckpoint>(OnRecovered);
        // From here on the journal refuses what an older planner writes that was given up and wakes up.
        Recover<RecoveryCompleted>(_ => Persist(
            new PlannerStarted(_epoch, _term + 1, Now), started => _term = started.Term));
    }

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        base.OnPersistFailure(cause, @event, sequenceNr);
        _options.Journal.Failed(cause.Message);
    }

    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        base.OnRecoveryFailure(reason, message);
        if (JournalHealth.DamageIn(reason) is { } damage) _options.Journal.PlannerDamaged(damage);
    }

    private void OnRecovered(PlannerCheckpoint checkpoint)
    {
        _checkpointAt = LastSequenceNr;
        (_epoch, _term) = (checkpoint.Epoch, checkpoint.Term);
        _serving = checkpoint.Serving is { } serving ? new ServingEpoch(serving.Epoch, serving.Layout, []) : null;
        _timeline.Clear();
        _timeline.AddRange(checkpoint.Timeline);
    }

    private void EndChange(string outcome)
    {
        var record = _change!.Record(outcome, Now);
        _change = null;
        _log.Info("Reconfiguration {0}", record);
        Remember(record);
        Persist(new ReconfigurationEnded(record), _ => { });
        if (LastSequenceNr - _checkpointAt >= _options.CheckpointEvery) WriteCheckpoint();
    }

    /// <summary>Nothing is under way now, so that what was written before it is of no more use. It is deleted at the
    /// checkpoint after this one: until then the journal refuses a planner that was replaced meanwhile.</summary>
    private void WriteCheckpoint()
    {
        var serving = _serving is { } epoch ? new CheckpointedEpoch(epoch.Epoch, epoch.Layout) : null;
        Persist(new PlannerCheckpoint(_epoch, _term, Now, serving, [.. _timeline]), _ =>
        {
            var before = _checkpointAt;
            _checkpointAt = LastSequenceNr;
            if (before > 0) DeleteMessages(before - 1);
        });
    }

    private void OnNotDeleted(DeleteMessagesFailure failure) =>
        _log.Warning("Old entries of the planner's journal stay until the next checkpoint: {0}", failure.Cause.Message);

    private void Remember(ReconfigurationRecord record)
    {
        _timeline.Add(record);
        if (_timeline.Count > TimelineMax) _timeline.RemoveAt(0);
    }
}
