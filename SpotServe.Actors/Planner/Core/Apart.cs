namespace SpotServe.Actors.Planner;

/// <summary>Nodes that the planner reaches and that do not reach each other: one of them is left out for a
/// time.</summary>
internal static class Apart
{
    /// <summary>A device could not reach a node in an epoch. If that node is gone, it will not answer, and nothing of
    /// this is kept.</summary>
    public static void OnNotReached(Turn turn, Epoch epoch, string node, string other)
    {
        if (node == other || !turn.State.Nodes.ContainsKey(node) || !turn.State.Nodes.ContainsKey(other)) return;
        var (separations, apart) = turn.State.Separations.Report(turn.Limits, node, other, epoch, turn.Now);
        turn.State = turn.State with { Separations = separations };
        if (apart is not { } time) return;
        turn.Warn(
            "Nodes {Node} and {Other} do not reach each other: not used together for {Seconds:0} s", node, other,
            time.TotalSeconds);
        Refresh(turn);
    }

    /// <summary>Whoever need not be left out any more is worth a plan.</summary>
    public static void ReuniteThoseWhoseTimeIsOver(Turn turn)
    {
        var before = turn.State.LeftOut;
        if (before.IsEmpty) return;
        Refresh(turn);
        var back = before.Except(turn.State.LeftOut);
        if (!back.IsEmpty)
            turn.PlanAfter($"node {back.First()} is tried with the others again", turn.Limits.Coalesce);
    }

    public static void Refresh(Turn turn)
    {
        var state = turn.State;
        turn.State = state with
        {
            LeftOut = state.Separations.LeftOut(
                state.Nodes.Keys.Where(node => !state.Leaving.ContainsKey(node)),
                node => state.Active is { IsServing: true } active && active.Layout.Uses(node),
                turn.Now),
        };
    }
}
