using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>A change of layout is under way. Until it is complete, a failure of anything that it counts on ends it:
/// what serves goes on, unless it was told to stop, and the next plan starts from what devices hold by then.</summary>
/// <param name="Limit">Until when this phase may take; then it goes on without what is missing, or is given up.</param>
/// <param name="RepeatAt">When what was not answered is asked for again.</param>
internal abstract record ChangingPhase(Change Change, DateTimeOffset Limit, DateTimeOffset RepeatAt) : Phase
{
    protected Epoch Epoch => Change.Epoch;

    protected Layout Layout => Change.Layout;

    /// <summary>Whether the change cannot come to its end without this node.</summary>
    public virtual bool Awaits(string node) => Layout.Uses(node);

    public override void OnNodeLost(Turn turn, string node, Cause cause)
    {
        if (Awaits(node)) GiveUp(turn, cause);
    }

    /// <summary>A device failed in the epoch that this change leads to.</summary>
    public virtual void OnDeviceFailed(Turn turn, ClusterProtocol.DeviceFailed failed, Cause cause)
    {
        if (failed.Kind == FailureKind.Model && turn.State is { HasServed: false, Active: null })
        {
            // Nothing was ever served: the next try would end like this one.
            End(turn, $"given up: {cause}");
            CannotServe.Begin(turn, failed.Reason);
            return;
        }

        if (failed.Kind != FailureKind.Peer)
        {
            var reason = $"{failed.Device.Node}: {failed.Reason}";
            turn.State = turn.State with { Setback = Setback.Of(turn.State.Setback, Layout, reason) };
        }

        GiveUp(turn, cause);
    }

    /// <summary>The change cannot be completed. Weights that came in stay where they are.</summary>
    public virtual void GiveUp(Turn turn, Cause cause)
    {
        turn.Warn("{Epoch} is given up: {Cause}", Epoch, cause);
        foreach (var device in Layout.Placement) turn.Release(Epoch, device, trim: false);
        if (turn.State.Journal.Serving is null)
        {
            // Stopped replicas cannot be taken up again; their requests go on from their committed tokens.
            turn.State = turn.State with { Active = null };
        }
        else if (turn.State.Active is { } active)
        {
            foreach (var replica in active.Replicas.Values)
                turn.Send(replica, new HandoverProtocol.CancelHandover(active.Epoch, Epoch));
        }

        var failures = turn.State.FailedInARow + 1;
        turn.State = turn.State with { FailedInARow = failures };
        End(turn, $"given up: {cause}");
        turn.Rest($"planning anew: {cause}");
        // What led to this change is still to be answered.
        turn.PlanAfter(
            Change.Cause.And(cause),
            failures == 1 ? TimeSpan.Zero : turn.Limits.Settle * (1 << Math.Clamp(failures - 2, 0, 5)));
    }

    /// <summary>Writes the change's line in the timeline.</summary>
    protected void End(Turn turn, string outcome)
    {
        var record = Change.Record(outcome, turn.Now);
        turn.Info("Reconfiguration {Record}", record);
        turn.Note(new ReconfigurationEnded(record));
        // Nothing is under way now, so that what was written before a checkpoint is of no more use.
        if (turn.State.Journal.EntriesSinceCheckpoint >= turn.Options.CheckpointEvery)
            turn.Note(turn.State.Journal.Checkpoint(turn.Now));
    }

    protected static DateTimeOffset Later(Turn turn) => turn.Now + turn.Limits.RepeatAfter;

    /// <summary>Devices of nodes that are still there.</summary>
    protected static IEnumerable<DeviceId> Known(Turn turn, IEnumerable<DeviceId> devices) =>
        devices.Where(device => turn.State.Nodes.ContainsKey(device.Node));
}
