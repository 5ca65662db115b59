using System.Collections.Immutable;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>What nodes, members and replicas tell of losses, and what a loss means for who serves.</summary>
internal static class Losses
{
    public static void OnMemberLost(Turn turn, MemberLost lost)
    {
        foreach (var node in NodesAt(turn, lost.Address)) LoseNode(turn, node, Cause.Lost(node, NoticedBy.Membership));
    }

    public static void OnMemberSuspected(Turn turn, MemberSuspected suspected)
    {
        foreach (var node in NodesAt(turn, suspected.Address))
            Suspect(turn, node, Signs.ControlClosed, Cause.Accused(node, NoticedBy.ClosedConnections));
    }

    public static void OnMemberRefuses(Turn turn, MemberRefuses member)
    {
        foreach (var node in NodesAt(turn, member.Address))
            Suspect(turn, node, Signs.NobodyListens, Cause.Accused(node, NoticedBy.ClosedConnections));
    }

    /// <summary>Some member says so. If it is a node that cannot reach another one, this is no loss.</summary>
    public static void OnMemberUnreachable(Turn turn, MemberUnreachable member)
    {
        foreach (var node in NodesAt(turn, member.Address))
        {
            if (turn.Now - turn.State.Nodes[node].SeenAt >= turn.Limits.SuspectAfter)
                LoseNode(turn, node, Cause.Lost(node, NoticedBy.Silence));
            else
                turn.Info("Node {Node} is unreachable for another member, and reports here", node);
        }
    }

    /// <summary>Has all nodes asked what they hold, with little patience for this one; if it answers, nothing
    /// changes.</summary>
    public static void Suspect(Turn turn, string node, Signs sign, Cause why)
    {
        Accuse(turn, node, sign);
        turn.State.Phase.OnNodeSuspected(turn, node, why);
    }

    public static void OnDeviceFailed(Turn turn, ClusterProtocol.DeviceFailed failed)
    {
        var cause = CauseOf(failed);
        if (failed.Kind == FailureKind.Peer) turn.Debug("{Device} lost a peer: {Reason}", failed.Device, failed.Reason);
        // Of those that notice a loss one is the first, and another one may know better who is gone.
        if (turn.State.Phase is Asking asking && failed.Epoch == turn.State.Active?.Epoch) asking.Explain(turn, cause);
        if (failed.LostNode is { } accused)
        {
            Accuse(turn, accused, failed.IsSilent ? Signs.Word : Signs.LinksClosed);
            // Also of an epoch that is over by now: the second of the two reports late.
            if (failed.IsSilent) Apart.OnNotReached(turn, failed.Epoch, failed.Device.Node, accused);
        }

        if (turn.State.Phase is ChangingPhase changing && changing.Change.Epoch == failed.Epoch)
            changing.OnDeviceFailed(turn, failed, cause);
        else if (turn.State.Active is { } active && active.Epoch == failed.Epoch
            && active.Layout.Placement.Contains(failed.Device))
            OnServingDeviceFailed(turn, active, failed, cause);
        else
        {
            // Nodes repeat a failure until they hear of it.
            turn.Debug("Ignored {Failure}: epoch is now {Epoch}", failed, turn.State.Journal.Epoch);
            turn.Release(failed.Epoch, failed.Device, trim: false);
        }
    }

    public static void OnReplicaLost(Turn turn, Replica.ReplicaControlProtocol.ReplicaLost lost)
    {
        if (lost.Epoch == turn.State.Active?.Epoch)
        {
            turn.Info("Replica {Replica} of {Epoch} stopped: {Reason}", lost.Replica, lost.Epoch, lost.Reason);
            LoseReplica(turn, lost.Replica, Cause.Symptom($"replica {lost.Replica} lost one of its devices"));
        }
    }

    /// <summary>A node is gone: whatever counts on it is over.</summary>
    public static void LoseNode(Turn turn, string node, Cause cause)
    {
        if (!turn.State.Nodes.ContainsKey(node)) return;
        // One that was to go, and that nothing counted on any more, is not lost, however that was noticed.
        if (turn.State.Leaving.ContainsKey(node) && turn.State.Active?.Layout.Uses(node) != true)
            cause = Cause.Leaves(node, NoticedBy.Membership, $"node {node} has left, as it was told");
        turn.State = turn.State with
        {
            Nodes = turn.State.Nodes.Remove(node),
            Names = turn.State.Names.Remove(node),
            Roster = turn.State.Roster + 1,
            Leaving = turn.State.Leaving.Remove(node),
            Accused = turn.State.Accused.Remove(node),
            Separations = turn.State.Separations.Forget(node),
            Setback = null,
        };
        turn.Warn("{Cause}", cause);
        if (turn.State.Active is { } active)
        {
            for (var i = 0; i < active.Layout.Placement.Length; i++)
            {
                if (active.Layout.Placement[i].Node == node)
                    LoseReplica(turn, active.Layout.PositionAt(i).Replica, cause);
            }
        }

        turn.State.Phase.OnNodeLost(turn, node, cause);
        turn.Publish();
    }

    /// <summary>A serving replica can serve no more; the others of its epoch go on.</summary>
    public static void LoseReplica(Turn turn, int replica, Cause cause)
    {
        if (turn.State.Active is not { } active || !active.Replicas.ContainsKey(replica)) return;
        turn.Warn("Replica {Replica} of {Epoch} is lost: {Cause}", replica, active.Epoch, cause);
        active = active with { Replicas = active.Replicas.Remove(replica), Loads = active.Loads.Remove(replica) };
        turn.State = turn.State with
        {
            Active = active,
            LostAllAt = active.IsServing ? turn.State.LostAllAt : turn.Now,
        };
        turn.Publish();
        turn.State.Phase.OnReplicaLost(turn, replica, cause);
    }

    /// <summary>Nodes that no longer report.</summary>
    public static void LoseSilentNodes(Turn turn)
    {
        var limit = turn.Now - turn.Limits.NodeSilenceMax;
        if (limit < turn.State.StartedAt) return;
        foreach (var (name, _) in turn.State.Nodes.Where(node => node.Value.SeenAt < limit))
        {
            LoseNode(turn, name, Cause.Lost(name, NoticedBy.Silence));
        }
    }

    private static void OnServingDeviceFailed(
        Turn turn, ActiveEpoch active, ClusterProtocol.DeviceFailed failed, Cause cause)
    {
        var replica = active.Layout.PositionOf(failed.Device).Replica;
        var wasServing = active.Replicas.ContainsKey(replica);
        LoseReplica(turn, replica, cause);
        // Whether the accused node still lives shows when nodes are asked what they hold. Those that fail later,
        // because the others closed their links, accuse the living.
        if (wasServing && failed.LostNode is { } lost
            && turn.State.Phase is ChangingPhase changing && changing.Change.Layout.Uses(lost))
        {
            changing.GiveUp(turn, cause);
        }
    }

    /// <summary>Only a node that is there can be accused: of one that is gone nobody would ever hear the
    /// answer.</summary>
    private static void Accuse(Turn turn, string node, Signs sign)
    {
        var accused = turn.State.Accused;
        if (!turn.State.Nodes.ContainsKey(node)) return;
        turn.State = turn.State with { Accused = accused.SetItem(node, accused.GetValueOrDefault(node) | sign) };
    }

    /// <summary>Names the node that went, where the device knows it, and how that was noticed.</summary>
    private static Cause CauseOf(ClusterProtocol.DeviceFailed failed) => failed switch
    {
        { LostNode: { } lost, IsSilent: true } => Cause.Accused(lost, NoticedBy.Silence),
        { LostNode: { } lost } => Cause.Accused(lost, NoticedBy.ClosedConnections),
        { Kind: FailureKind.Peer } => Cause.Symptom($"device {failed.Device} lost a connection to another one"),
        _ => $"device {failed.Device} failed: {failed.Reason}",
    };

    private static ImmutableArray<string> NodesAt(Turn turn, string address) => turn.State.NamesFrom(address + "#");
}
