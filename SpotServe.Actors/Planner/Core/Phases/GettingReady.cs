using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>The new layout's devices get ready; what serves goes on. The phases of this kind are one to the gateways
/// and in the timeline.</summary>
internal abstract record GettingReady(Change Change, DateTimeOffset Limit, DateTimeOffset RepeatAt)
    : ChangingPhase(Change, Limit, RepeatAt)
{
    public override PlannerPhase Name => PlannerPhase.PreCopying;

    public override bool Hear(Turn turn, object message)
    {
        if (message is not ClusterProtocol.DeviceLoading loading || loading.Epoch != Epoch) return false;
        if (!Layout.Placement.Contains(loading.Device)) return true;
        turn.Stay(this with
        {
            Change = Change.Loading(loading.Device, loading.Progress),
            // A device that only says again how far it is does not keep the phase from its limit.
            Limit = Change.IsProgress(loading.Device, loading.Progress) ? turn.Now + turn.Limits.ProgressMax : Limit,
        });
        turn.Publish();
        return true;
    }

    /// <summary>A device that gets ready has no data-plane links yet that would tell of its end: its reports
    /// must.</summary>
    public override void OnTick(Turn turn)
    {
        var limit = turn.Now - turn.Limits.SuspectAfter;
        var silent = limit < turn.State.StartedAt
            ? null
            : turn.State.Nodes.Values
                .FirstOrDefault(node => node.SeenAt < limit && Awaits(node.Info.Node))?.Info.Node;
        if (silent is not null)
            Losses.Suspect(
                turn,
                silent,
                Signs.Word,
                Cause.Accused(silent, NoticedBy.Silence));
        else if (turn.Now >= Limit)
            OnLimit(turn);
        else
            OnWaiting(turn);
    }

    /// <summary>The new replicas count on the pages of the one that is lost. What came in of weights makes the next
    /// plan a short one.</summary>
    public override void OnReplicaLost(Turn turn, int replica, Cause cause)
    {
        if (Change.Decision.Successions.Any(pair => pair.Old == replica)) GiveUp(turn, $"replica {replica} was lost");
    }

    /// <summary>Nothing that is being made ready for a node that leaves is of use.</summary>
    public override void OnNodeLeaving(Turn turn, string node, Cause cause)
    {
        if (Layout.Uses(node)) GiveUp(turn, cause);
        else base.OnNodeLeaving(turn, node, cause);
    }

    public override void OnNodeSuspected(Turn turn, string node, Cause cause)
    {
        if (Awaits(node)) GiveUp(turn, cause);
        else base.OnNodeSuspected(turn, node, cause);
    }

    /// <summary>What is missing, for the one who reads why it was given up.</summary>
    protected abstract string Missing { get; }

    /// <summary>Asks for what was not answered.</summary>
    protected abstract void Repeat(Turn turn);

    /// <summary>Neither is the limit over nor somebody silent.</summary>
    protected virtual void OnWaiting(Turn turn)
    {
        if (turn.Now < RepeatAt) return;
        turn.Stay(this with { RepeatAt = Later(turn) });
        Repeat(turn);
    }

    protected virtual void OnLimit(Turn turn) =>
        GiveUp(turn, $"no progress for {turn.Limits.ProgressMax.TotalSeconds:0} s with {Missing}");
}
