using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>While a layout serves, the load is watched: another layout that would serve it better by a margin, for long
/// enough, and that pays for the change, is planned.</summary>
internal static class Following
{
    public static void OnTick(Turn turn)
    {
        var (state, follow) = (turn.State, turn.Options.Follow);
        if (state is not { Objective: not null, Due: null, Active: { IsServing: true } active }) return;
        if (turn.Now < state.FollowAt) return;
        turn.State = state = state with { FollowAt = turn.Now + follow.Period };
        if (Better(turn, active.Layout.Degrees) is not { } better)
        {
            turn.State = state with { Drift = null };
            return;
        }

        // The candidates may take turns: what counts is that the present layout is not the best.
        var drift = state.Drift ?? new Drift(turn.Now);
        var load = Demand.Of(state, turn.Now);
        turn.State = state with { Drift = drift };
        if (turn.Now - drift.Since < follow.Patience || !Pays(turn, better, load)) return;
        turn.State = turn.State with { Drift = null };
        turn.PlanAfter(
            FormattableString.Invariant(
                $"{better.Degrees} serves {load.RequestsPerSecond:0.##} requests/s better, for {state.Objective}"),
            TimeSpan.Zero);
    }

    /// <summary>Seconds that requests are spared within the horizon, against seconds that the change costs those that
    /// are open: its pause, and what they are slower by while weights come in. A layout that is better for another
    /// reason than time, because it keeps up or is cheaper, always pays.</summary>
    private static bool Pays(Turn turn, SelectedLayout better, Workload load)
    {
        if (better.GainPerRequest <= 0) return true;
        var follow = turn.Options.Follow;
        var open = turn.State.Active!.Loads.Values.Sum(report => report.Load.Queued + report.Load.Running);
        var saved = better.GainPerRequest * load.RequestsPerSecond * follow.Horizon.TotalSeconds;
        var cost = follow.ChangeCost.TotalSeconds + (follow.LoadingSlowdown * LoadingSeconds(turn, better));
        return saved > open * cost;
    }

    /// <summary>Until the device with the most weights would have them, if it had none of them yet and its node's links
    /// and disk were the slowest: what devices hold is only asked when a change is decided.</summary>
    private static double LoadingSeconds(Turn turn, SelectedLayout better)
    {
        if (turn.State is not { Model: { } model, Survey: { } survey }) return 0;
        var geometry = new SliceGeometry(model);
        var (stages, ranks) = (better.Degrees.Stages, better.Degrees.Ranks);
        var most = better.StageLayers.Select((layers, index) => geometry.NeedBytes(new PositionNeed(
            layers, 0, ranks, index % stages == 0, index % stages == stages - 1))).Max();
        var slowest = survey.Instances.Min(instance =>
        {
            var links = survey.Links.Of.GetValueOrDefault(instance.Node) ?? survey.Links.Usual;
            return Math.Max(links.InterNode, links.Disk);
        });
        return slowest > 0 ? most / slowest : 0;
    }

    private static SelectedLayout? Better(Turn turn, LayoutDegrees present) =>
        Decision.Selected(turn) is { } selected && selected.Degrees != present ? selected : null;
}
