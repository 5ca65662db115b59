namespace SpotServe.Actors.Planner;

/// <summary>Nothing is under way: a plan that is due begins.</summary>
internal abstract record IdlePhase : Phase
{
    public override void OnReplicaLost(Turn turn, int replica, Cause cause) => turn.PlanAfter(cause, TimeSpan.Zero);

    public override void Settle(Turn turn)
    {
        if (turn.State.Due is { } due && turn.Now >= due.At) Asking.Begin(turn, due.Cause);
    }
}
