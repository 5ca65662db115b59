using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>The new layout serves; only now is the old one's memory given back.</summary>
/// <param name="Old">The epoch that is over; none when nothing served.</param>
/// <param name="WaitingFor">Devices that have not given it back.</param>
internal sealed record Releasing(
    Change Change, DateTimeOffset Limit, DateTimeOffset RepeatAt, Epoch Old, ImmutableSortedSet<DeviceId> WaitingFor)
    : ChangingPhase(Change, Limit, RepeatAt)
{
    public override PlannerPhase Name => PlannerPhase.Releasing;

    /// <summary>All new replicas serve.</summary>
    public static void Activate(Turn turn, Change change, ImmutableSortedDictionary<int, IAddress> leaders)
    {
        var old = turn.State.Active;
        turn.Persist(new LayoutActivated(change.Epoch, turn.Now));
        turn.State = turn.State with
        {
            Active = new ActiveEpoch(
                new ServingEpoch(change.Epoch, change.Layout, change.Decision.Pages),
                leaders,
                ImmutableSortedDictionary<int, LoadReport>.Empty),
            HasServed = true,
            Drift = null,
            FollowAt = turn.Now + turn.Options.Follow.RestAfterChange,
            Setback = null,
            FailedInARow = 0,
            LostAllAt = null,
        };
        var releasing = turn.Enter(
            new Releasing(
                change.AllServe(turn.Now), turn.Now + turn.Limits.ReleaseMax, turn.Now + turn.Limits.RepeatAfter,
                old?.Epoch ?? Epoch.None, [.. Known(turn, old?.Layout.Placement ?? [])]),
            $"serving {turn.State.Model?.Name} on {change.Layout.Degrees}, {change.Epoch}");
        releasing.Repeat(turn);
        Continue(turn, releasing);
    }

    public override bool Hear(Turn turn, object message)
    {
        if (message is not ClusterProtocol.PositionReleased released || released.Epoch != Old) return false;
        Continue(turn, this with { WaitingFor = WaitingFor.Remove(released.Device) });
        return true;
    }

    public override void OnTick(Turn turn)
    {
        var next = this with { WaitingFor = [.. Known(turn, WaitingFor)] };
        if (turn.Now >= Limit && !next.WaitingFor.IsEmpty)
        {
            turn.Warn("Not released in time: {Devices}", string.Join(", ", next.WaitingFor));
            next = next with { WaitingFor = [] };
        }
        else if (turn.Now >= RepeatAt)
        {
            next = next with { RepeatAt = Later(turn) };
            next.Repeat(turn);
        }

        Continue(turn, next);
    }

    public override void OnReplicaLost(Turn turn, int replica, Cause cause) => GiveUp(turn, cause);

    public override void OnDeviceFailed(Turn turn, ClusterProtocol.DeviceFailed failed, Cause cause)
    {
        Losses.LoseReplica(turn, Layout.PositionOf(failed.Device).Replica, cause);
        if (turn.State.Phase is Releasing) GiveUp(turn, cause);
    }

    /// <summary>It serves already; only what was to be released is left, and the next plan does that.</summary>
    public override void GiveUp(Turn turn, Cause cause)
    {
        turn.Warn("{Epoch} is planned anew before all is released: {Cause}", Epoch, cause);
        End(turn, ReconfigurationRecord.Served);
        turn.Rest($"planning anew: {cause}");
        turn.PlanAfter(cause, TimeSpan.Zero);
    }

    private static void Continue(Turn turn, Releasing next)
    {
        turn.Stay(next);
        if (!next.WaitingFor.IsEmpty) return;
        next.End(turn, ReconfigurationRecord.Served);
        turn.Rest("nothing serves");
    }

    private void Repeat(Turn turn)
    {
        // A device that the layout does not use keeps its weights: it is the first choice when one is lost.
        var used = Layout.Placement.ToHashSet();
        foreach (var device in WaitingFor) turn.Release(Old, device, trim: used.Contains(device));
    }
}
