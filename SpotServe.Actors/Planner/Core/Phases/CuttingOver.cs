using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>The old replicas were told to stop and hand over the rest; the new ones serve as soon as they have it. From
/// here on there is no way back.</summary>
/// <param name="Limit">Then the new ones serve with what they have, though not before a home that lives; when that
/// takes long, too, the change is given up.</param>
/// <param name="Leaders">Of the new replicas.</param>
/// <param name="Stopping">Old replicas that have not said that they stand still.</param>
/// <param name="NotServing">New replicas that do not serve yet.</param>
/// <param name="ServeAt">When the new ones are told to serve with what they have, if that is not the limit.</param>
internal sealed record CuttingOver(
    Change Change,
    DateTimeOffset Limit,
    DateTimeOffset RepeatAt,
    ImmutableSortedDictionary<int, IAddress> Leaders,
    ImmutableSortedSet<int> Stopping,
    ImmutableSortedSet<int> NotServing,
    DateTimeOffset? ServeAt = null)
    : ChangingPhase(Change, Limit, RepeatAt)
{
    public override PlannerPhase Name => PlannerPhase.CuttingOver;

    public static void Begin(Turn turn, Change change, ImmutableSortedDictionary<int, IAddress> leaders)
    {
        turn.Persist(new CutOverBegun(change.Epoch, turn.Now));
        ImmutableSortedSet<int> old = [.. turn.State.Active!.Replicas.Keys];
        turn.Drain(old);
        // Replicas that nobody hands anything over to serve as they are.
        var origin = change.Decision.Origin;
        ImmutableSortedSet<int> notServing =
            [.. leaders.Keys.Where(replica => origin is not null && !origin.Expects[replica].IsEmpty)];
        Continue(turn, turn.Enter(
            new CuttingOver(
                change.Stopping(turn.Now), HandoverLimit(turn, change), turn.Now + turn.Limits.RepeatAfter, leaders,
                old, notServing),
            $"cutting over to {change.Layout.Degrees}"));
    }

    public override bool Hear(Turn turn, object message)
    {
        switch (message)
        {
            case HandoverProtocol.ReplicaServes serves when serves.Epoch == Epoch:
                if (!NotServing.Contains(serves.Replica)) return true;
                Continue(turn, this with
                {
                    NotServing = NotServing.Remove(serves.Replica),
                    Change = Change.Serves(serves),
                });
                return true;
            case ReplicaControlProtocol.Drained drained when drained.Epoch == Change.Before?.Epoch:
                Continue(turn, this with { Stopping = Stopping.Remove(drained.Replica) });
                return true;
            default:
                return false;
        }
    }

    public override void OnTick(Turn turn)
    {
        if (turn.Now >= Limit + turn.Limits.CutOverMax)
        {
            GiveUp(turn, "the new replicas did not begin to serve");
        }
        else if (turn.Now >= Limit || turn.Now >= ServeAt)
        {
            foreach (var replica in NotServing)
                turn.Send(Leaders[replica], new HandoverProtocol.ServeNow(Epoch, MayHomeCome(turn, replica)));
            Continue(turn, this with { ServeAt = turn.Now + turn.Limits.RepeatAfter, Stopping = [] });
        }
        else if (turn.Now >= RepeatAt)
        {
            turn.Stay(this with { RepeatAt = Later(turn) });
            turn.Drain(Stopping);
        }
    }

    /// <summary>When nobody is left who could hand over more, what is on its way has a little time.</summary>
    public override void OnReplicaLost(Turn turn, int replica, Cause cause)
    {
        var left = Stopping.Remove(replica);
        turn.Stay(this with
        {
            Stopping = left,
            ServeAt = left.IsEmpty ? ServeAt ?? turn.Now + turn.Limits.AccusedAnswerMax : ServeAt,
        });
    }

    /// <summary>The old replica whose pages a new one shares is not lost, only late.</summary>
    private bool MayHomeCome(Turn turn, int replica) => Change.Decision.Successions.Any(
        pair => pair.New == replica && pair.IsHome && turn.State.Active?.Replicas.ContainsKey(pair.Old) == true);

    private static void Continue(Turn turn, CuttingOver next)
    {
        turn.Stay(next);
        // Without a handover there is nobody who would wait for the old ones, but their last tokens count, too.
        if (next.NotServing.IsEmpty && (next.Stopping.IsEmpty || next.Change.Decision.Origin is not null))
            Releasing.Activate(turn, next.Change, next.Leaders);
    }

    /// <summary>By when the old replicas must have handed over: their nodes may have to go.</summary>
    private static DateTimeOffset HandoverLimit(Turn turn, Change change)
    {
        var limit = turn.Now + turn.Limits.CutOverMax;
        foreach (var (node, leaving) in turn.State.Leaving)
        {
            var goes = leaving.Deadline - turn.Limits.HandoverReserve;
            if (change.Before is { } before && before.Layout.Uses(node) && goes < limit) limit = goes;
        }

        var soonest = turn.Now + turn.Limits.AccusedAnswerMax;
        return limit > soonest ? limit : soonest;
    }
}
