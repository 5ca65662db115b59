using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>What the planner is doing. A phase owns the data that only exists in it, its limits, what it repeats, and
/// its answer to a loss. In order of life: <see cref="Gathering"/>, <see cref="Asking"/>, <see cref="StoppingFirst"/>
/// where memory is short, <see cref="Preparing"/>, <see cref="Connecting"/>, <see cref="HandingOver"/>,
/// <see cref="CuttingOver"/>, <see cref="Releasing"/>, <see cref="Serving"/>.</summary>
internal abstract record Phase
{
    /// <summary>As the gateways and the timeline have it: getting ready is one phase for them.</summary>
    public abstract PlannerPhase Name { get; }

    /// <summary>Whether the phase itself finds out who does not answer.</summary>
    public virtual bool JudgesSilence => false;

    /// <summary>Time has passed: limits end, what was not answered is repeated.</summary>
    public virtual void OnTick(Turn turn)
    {
    }

    /// <summary>An event has been dealt with: is what the phase waits for complete?</summary>
    public virtual void Settle(Turn turn)
    {
    }

    /// <returns>False when the phase does not wait for such a message: it comes late.</returns>
    public virtual bool Hear(Turn turn, object message) => false;

    /// <summary>A node is gone, and with it the replicas that it had a part of.</summary>
    public virtual void OnNodeLost(Turn turn, string node, Cause cause)
    {
    }

    /// <summary>A replica that served can do so no more; the others of its epoch go on.</summary>
    public virtual void OnReplicaLost(Turn turn, int replica, Cause cause)
    {
    }

    /// <summary>A node will go.</summary>
    public virtual void OnNodeLeaving(Turn turn, string node, Cause cause) =>
        turn.PlanAfter(cause, turn.Limits.Coalesce / 3);

    /// <summary>A node may be gone: it is asked what it holds, with little patience.</summary>
    public virtual void OnNodeSuspected(Turn turn, string node, Cause cause)
    {
        if (turn.State.ServesOn(node)) turn.PlanAfter(cause, TimeSpan.Zero);
    }
}
