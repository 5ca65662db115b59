using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>Full pages go from the old replicas, which still decode, to the new ones. What is not over when time is up
/// follows in the pause, or is computed anew.</summary>
/// <param name="Leaders">Of the new replicas.</param>
/// <param name="Old">Old replicas that have not said that their full pages are over.</param>
internal sealed record HandingOver(
    Change Change,
    DateTimeOffset Limit,
    DateTimeOffset RepeatAt,
    ImmutableSortedDictionary<int, IAddress> Leaders,
    ImmutableSortedSet<int> Old)
    : GettingReady(Change, Limit, RepeatAt)
{
    protected override string Missing => string.Join(", ", Old.Select(replica => $"replica {replica}"));

    public static void Begin(Turn turn, Change change, ImmutableSortedDictionary<int, IAddress> leaders)
    {
        var handing = turn.Enter(
            new HandingOver(
                change, turn.Now + turn.Limits.PreCopyPagesMax, turn.Now + turn.Limits.RepeatAfter, leaders,
                [.. turn.State.Active!.Replicas.Keys]),
            $"pages go to {change.Layout.Degrees}");
        handing.Repeat(turn);
    }

    public override bool Hear(Turn turn, object message)
    {
        if (message is not HandoverProtocol.HandoverReady ready || ready.NewEpoch != Epoch)
            return base.Hear(turn, message);
        Continue(turn, this with { Old = Old.Remove(ready.Replica) });
        return true;
    }

    public override void OnReplicaLost(Turn turn, int replica, Cause cause)
    {
        base.OnReplicaLost(turn, replica, cause);
        if (turn.State.Phase is HandingOver handing) Continue(turn, handing with { Old = handing.Old.Remove(replica) });
    }

    protected override void OnLimit(Turn turn)
    {
        turn.Warn("Stopping before all full pages are over: time limit");
        CuttingOver.Begin(turn, Change, Leaders);
    }

    protected override void OnWaiting(Turn turn)
    {
        if (turn.State.Leaving.Values.Any(leaving => turn.Now >= leaving.Deadline - turn.Limits.DeadlineReserve))
        {
            turn.Warn("Stopping before all full pages are over: deadline");
            CuttingOver.Begin(turn, Change, Leaders);
            return;
        }

        base.OnWaiting(turn);
    }

    protected override void Repeat(Turn turn)
    {
        if (turn.State.Active is not { } active) return;
        var decision = Change.Decision;
        var heirs = decision.Successions.ToLookup(pair => pair.Old);
        var predecessors = decision.Successions.ToLookup(pair => pair.New);
        var arriving = decision.Inherited.Kept.ToLookup(kept => kept.NewReplica);
        foreach (var old in Old)
        {
            if (!active.Replicas.TryGetValue(old, out var replica)) continue;
            var targets = heirs[old]
                .Select(pair => new PlannerEffect.Target(
                    pair.New,
                    Leaders[pair.New],
                    [.. arriving[pair.New].Where(kept => kept.OldReplica == old)
                        .SelectMany(kept => kept.Requests)
                        .Select(request => request.Id)],
                    pair.IsHome,
                    decision.Pages[pair.New],
                    pair.IsHome ? GuestPages(turn, pair, predecessors[pair.New], arriving[pair.New]) : 0))
                .ToImmutableArray();
            turn.Do(new PlannerEffect.BeginHandover(replica, active.Epoch, Epoch, targets));
        }
    }

    private static void Continue(Turn turn, HandingOver next)
    {
        turn.Stay(next);
        if (!next.Old.IsEmpty) return;
        if (turn.State.Active is { IsServing: true }) CuttingOver.Begin(turn, next.Change, next.Leaders);
        else Releasing.Activate(turn, next.Change, next.Leaders);
    }

    /// <summary>Page ids for sequences that come to a home's successor from elsewhere: twice what they have, and some
    /// for those that begin before the cut-over; never more than half of the home's.</summary>
    private int GuestPages(
        Turn turn, Succession home, IEnumerable<Succession> pairs, IEnumerable<InheritedCache> arriving)
    {
        const int PagesOfNewcomer = 8;
        var now = arriving.Where(kept => kept.OldReplica != home.Old)
            .SelectMany(kept => kept.Requests)
            .Sum(request => KvPage.Count(request.Tokens));
        var newcomers = (long)pairs.Count(pair => !pair.IsHome) * turn.Options.SequencesMax * PagesOfNewcomer;
        return (int)Math.Min((2L * now) + newcomers, Change.Before!.Pages[home.Old] / 2);
    }
}
