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
        var areExpected = devices >= options.DevicesExpected;
        // Nodes that served are enough, however many are expected.
        var areBack = state.ServedLast?.Placement.All(device => state.Nodes.ContainsKey(device.Node)) == true;
        // After a restart what served may still do so: a plan that is made before all its nodes have reported would
        // take it for lost, and stop it.
        var isComplete = areBack || (areExpected && state.Claim is null);
        var waitMax = state.ServedLast is null ? turn.Limits.GatherMax
            : areExpected ? turn.Limits.SuspectAfter
            : turn.Limits.NodeSilenceMax;
        if (devices > 0 && (isComplete || turn.Now - Since >= waitMax))
            turn.PlanAfter("the first nodes are there", TimeSpan.Zero);
        else
            turn.ShowStatus($"waiting for nodes: {devices} of {options.DevicesExpected} devices");
    }
}
