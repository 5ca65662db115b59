using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>All nodes have said what they hold: is another layout needed, and which?</summary>
internal static class Decision
{
    public static bool IsNeeded(Turn turn)
    {
        var state = turn.State;
        var staying = state.Staying;
        if (Desired(turn) is not { } desired) return state.Active is null && !staying.IsEmpty;
        if (state.Active is not { } active || active.Replicas.Count < active.Layout.Degrees.Replicas) return true;
        return active.Layout.Degrees != desired
            || !active.Layout.Placement.All(device => staying.Any(
                node => node.Node == device.Node && node.Devices.Any(known => known.Index == device.Index)));
    }

    /// <summary>What degrees and stages are chosen from.</summary>
    public static SelectionInput SelectionOf(Turn turn)
    {
        var state = turn.State;
        Invariant.Holds(state.Model is not null, "degrees are chosen for some node's model");
        return new SelectionInput(
            turn.Options, state.Objective, state.Wanted, state.Model, state.Staying, Demand.Of(state, turn.Now),
            Demand.CostOf(state, turn.Options),
            state.Active is { IsServing: true } active ? active.Layout.Degrees : null);
    }

    private static LayoutDegrees? Desired(Turn turn)
    {
        if (turn.State.Model is null) return null;
        try
        {
            return LayoutSelection.Of(SelectionOf(turn))?.Degrees;
        }
        catch (PlanningException error)
        {
            turn.Debug("No layout: {Reason}", error.Message);
            return null;
        }
    }

    /// <summary>Chooses the next layout and begins to get it ready; without one, tries again later.</summary>
    public static void Make(Turn turn, Asking asked)
    {
        var state = turn.State;
        var serving = state.Active is { IsServing: true } active ? active.Serving : null;
        ImmutableArray<ReplicaCache> caches =
            [.. asked.Caches.Values.Where(cache => state.Active?.Replicas.ContainsKey(cache.Replica) == true)];
        LayoutDecision decision;
        try
        {
            decision = LayoutDecision.Make(Input(turn, asked.Holdings, serving, caches));
        }
        catch (PlanningException error)
        {
            turn.Warn("No layout: {Reason}", error.Message);
            turn.Rest($"no layout fits: {error.Message}");
            turn.PlanAfter(asked.Cause, turn.Limits.RetryAfter);
            return;
        }

        if (serving is not null && state.Setback is { Verdict: not null } setback
            && setback.Layout.IsSameAs(decision.Layout))
        {
            turn.Rest(setback.Reason);
            return;
        }

        var epoch = state.Journal.Epoch.Next;
        turn.Persist(new LayoutDecided(epoch, turn.Now, asked.Cause.ToString(), decision.Layout));
        turn.Info("{Epoch}: {Degrees} because {Cause}", epoch, decision.Layout.Degrees, asked.Cause);
        foreach (var note in decision.Notes) turn.Info("{Note}", note);
        var change = new Change(
            epoch, decision, serving, state.Active?.Layout.Degrees, asked.Cause, asked.Since)
            .Enter(asked.Name, asked.Since);
        if (state.LostAllAt is { } lost) change = change.Stopping(lost);
        StoppingFirst.BeginOrPrepare(turn, change);
    }

    private static DecisionInput Input(
        Turn turn,
        ImmutableSortedDictionary<string, ImmutableArray<HeldDevice>> holdings,
        ServingEpoch? serving,
        ImmutableArray<ReplicaCache> caches) => new(
        SelectionOf(turn),
        [.. holdings.Where(node => !turn.State.LeftOut.Contains(node.Key)).SelectMany(node => node.Value)],
        serving,
        caches,
        turn.State.Leaving.ToImmutableDictionary(
            leaving => leaving.Key,
            leaving => leaving.Value.Deadline > turn.Now ? leaving.Value.Deadline - turn.Now : TimeSpan.Zero));
}
