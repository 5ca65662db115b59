using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>Nothing serves, or nothing is known to: nodes are waited for.</summary>
/// <param name="Since">When the wait began.</param>
internal sealed record Gathering(DateTimeOffset Since) : IdlePhase
{
    public override PlannerPhase Name => PlannerPhase.Gathering;

    public override void OnTick(Turn turn)
    {
        Departures.ReleaseThoseThatMayGo(turn);
        Apart.ReuniteThoseWhoseTimeIsOver(turn);
        var (state, options) = (turn.State, turn.Options);
        if (state.Due is not null) return;
        var devices = state.Staying.Sum(node => node.Devices.Length);
        // After a restart the nodes that served are enough, however many are expected.
        var isComplete = devices >= options.DevicesExpected
            || state.ServedLast?.Placement.All(device => state.Nodes.ContainsKey(device.Node)) == true;
        var waitMax = state.ServedLast is null ? turn.Limits.GatherMax : turn.Limits.NodeSilenceMax;
        if (devices > 0 && (isComplete || turn.Now - Since >= waitMax))
            turn.PlanAfter("the first nodes are there", TimeSpan.Zero);
        else
            turn.ShowStatus($"waiting for nodes: {devices} of {options.DevicesExpected} devices");
    }
}
