using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>There is no room for two layouts: the old one gives its memory back, all but the weights, before the new
/// one gets ready. Its requests are computed anew from their tokens.</summary>
/// <param name="WaitingFor">Devices that have not given back what they have of the old epoch.</param>
internal sealed record StoppingFirst(
    Change Change, DateTimeOffset Limit, DateTimeOffset RepeatAt, Epoch Old, ImmutableSortedSet<DeviceId> WaitingFor)
    : GettingReady(Change, Limit, RepeatAt)
{
    protected override string Missing => string.Join(", ", WaitingFor);

    /// <summary>Begins a change: at once, or by stopping what serves where both do not fit or the operator wants it
    /// so.</summary>
    public static void BeginOrPrepare(Turn turn, Change change)
    {
        var mustStop = change.Before is not null
            && (!change.Decision.KeepsServing || turn.Options.Mode == MigrationMode.StopThenMigrate);
        if (!mustStop || turn.State.Active is not { } active)
        {
            Preparing.Begin(turn, change);
            return;
        }

        turn.Persist(new CutOverBegun(change.Epoch, turn.Now));
        change = change.Stopping(turn.Now);
        turn.Drain(active.Replicas.Keys);
        // The paper's way: the old replicas stand still and hand their pages over once the new ones are ready.
        if (change.Decision.KeepsServing)
        {
            Preparing.Begin(turn, change);
            return;
        }

        turn.State = turn.State with { Active = null };
        var stopping = turn.Enter(
            new StoppingFirst(
                change, turn.Now + turn.Limits.ProgressMax, turn.Now + turn.Limits.RepeatAfter, active.Epoch,
                [.. Known(turn, active.Layout.Placement)]),
            $"stopping {active.Layout.Degrees} to make room for {change.Layout.Degrees}");
        stopping.Repeat(turn);
        stopping.PrepareWhenStopped(turn);
    }

    public override bool Awaits(string node) =>
        base.Awaits(node) || WaitingFor.Any(device => device.Node == node);

    public override bool Hear(Turn turn, object message)
    {
        if (message is not ClusterProtocol.PositionReleased released || released.Epoch != Old)
            return base.Hear(turn, message);
        var next = this with { WaitingFor = WaitingFor.Remove(released.Device) };
        turn.Stay(next);
        next.PrepareWhenStopped(turn);
        return true;
    }

    protected override void Repeat(Turn turn)
    {
        foreach (var device in WaitingFor) turn.Release(Old, device, trim: false);
    }

    private void PrepareWhenStopped(Turn turn)
    {
        if (WaitingFor.IsEmpty) Preparing.Begin(turn, Change);
    }
}
