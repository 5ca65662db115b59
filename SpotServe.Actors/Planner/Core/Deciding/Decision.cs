using SpotServe.Actors.Planning;
using static SpotServe.Actors.Planner.PlannerEvents;

namespace SpotServe.Actors.Planner;

/// <summary>All nodes have said what they hold: is another layout needed, and which?</summary>
internal static class Decision
{
    /// <summary>Takes in what nodes and replicas have said that they hold.</summary>
    public static void Hear(Turn turn, Asking asked)
    {
        turn.State = turn.State with
        {
            Heard = new HeardHoldings(
                [
                    .. asked.Holdings.Where(node => !turn.State.LeftOut.Contains(node.Key))
                        .SelectMany(node => node.Value),
                ],
                [
                    .. asked.Caches.Values.Where(
                        cache => turn.State.Active?.Replicas.ContainsKey(cache.Replica) == true),
                ]),
            Active = turn.State.Active is { } active ? WithPagesOf(active, asked) : null,
        };
    }

    public static bool IsNeeded(Turn turn)
    {
        var state = turn.State;
        var staying = state.Staying;
        if (Selected(turn) is not { } desired) return state.Active is null && !staying.IsEmpty;
        if (state.Active is not { } active || active.Replicas.Count < active.Layout.Degrees.Replicas) return true;
        if (active.Layout.Degrees != desired.Degrees) return true;
        // Devices of other kinds take other shares of the layers.
        if (!desired.StageKinds.IsEmpty && !active.Layout.StageLayers.SequenceEqual(desired.StageLayers)) return true;
        var devices = staying.SelectMany(node => node.Devices.Select(device => new DeviceId(node.Node, device.Index)))
            .ToHashSet();
        return !active.Layout.Placement.All(devices.Contains);
    }

    /// <summary>What the devices that stay would serve with; null when nothing fits them.</summary>
    public static SelectedLayout? Selected(Turn turn)
    {
        turn.State = DeviceSurvey.Ensure(turn.State, turn.Options);
        if (DecisionInputs.OfLoad(turn.State, turn.Options, turn.Now) is not { } inputs) return null;
        try
        {
            return LayoutSelection.Of(inputs);
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
        PlanningInputs inputs;
        LayoutDecision decision;
        try
        {
            inputs = DecisionInputs.Of(state, turn.Options, turn.Now) ?? throw new NoDevicesException();
            decision = LayoutDecision.Of(ReconfigurationPlanner.Plan(inputs), serving);
        }
        catch (PlanningException error)
        {
            turn.Warn("No layout: {Reason}", error.Message);
            turn.Rest($"no layout fits: {error.Message}");
            Fleet.OnTick(turn);
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
        turn.State = turn.State with { Planned = new PlannedChange(epoch, inputs, decision.Plan.Migration) };
        turn.Info("{Epoch}: {Degrees} because {Cause}", epoch, decision.Layout.Degrees, asked.Cause);
        foreach (var note in decision.Notes) turn.Info("{Note}", note);
        var change = new Change(
            epoch, decision, serving, state.Active?.Layout.Degrees, asked.Cause, asked.Since)
            .Enter(asked.Name, asked.Since);
        if (state.LostAllAt is { } lost) change = change.Stopping(lost);
        StoppingFirst.BeginOrPrepare(turn, change);
        Fleet.Consider(turn);
    }

    /// <summary>A planner that took over has heard nothing of a replica whose nodes had not joined it yet. Its pages
    /// take memory all the same, whether it still serves or not.</summary>
    private static ActiveEpoch WithPagesOf(ActiveEpoch active, Asking asked)
    {
        var pages = active.Serving.Pages.ToBuilder();
        foreach (var held in asked.Holdings.Values.SelectMany(devices => devices)
            .SelectMany(device => device.Positions).Where(held => held.Epoch == active.Epoch))
        {
            var replica = held.Assignment.Position.Replica;
            if (pages[replica] == 0) pages[replica] = held.Assignment.PageCount;
        }

        return active with { Serving = active.Serving with { Pages = pages.ToImmutable() } };
    }
}
