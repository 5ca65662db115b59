using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>Joins: how fast does the new node get weights from its peers, and how fast from its own disk?</summary>
internal static class Probing
{
    /// <returns>Whether there is something to wait for.</returns>
    public static bool Begin(Turn turn, string name)
    {
        if (turn.Options.Stated is { Peer: not null, Disk: not null } || !AskForRates(turn, name)) return false;
        var node = turn.State.Nodes[name] with { ProbeUntil = turn.Now + turn.Limits.ProbeMax };
        turn.State = turn.State with { Nodes = turn.State.Nodes.SetItem(name, node) };
        return true;
    }

    /// <summary>With each report of the node: asks again, or goes on with what it measured.</summary>
    public static void Continue(Turn turn, KnownNode before, KnownNode node)
    {
        if (node.IsProbing(turn.Now)) AskForRates(turn, node.Info.Node);
        if (before.Info.Rates is not null || node.Info.Rates is not { } rates) return;
        turn.Info("Node {Node} gets {Rates}", node.Info.Node, rates);
        if (turn.State.Due is { } due && !turn.State.Nodes.Values.Any(other => other.IsProbing(turn.Now)))
            turn.PlanAfter(due.Cause, turn.Limits.Coalesce / 3);
    }

    /// <returns>False when no other node has weights to try it with.</returns>
    private static bool AskForRates(Turn turn, string name)
    {
        var state = turn.State;
        if (state.Active is not { IsServing: true } active || state.Nodes[name].Info.Devices.IsEmpty) return false;
        var layout = active.Layout;
        var peers =
            from position in layout.Positions
            let device = layout.DeviceAt(position)
            where device.Node != name && state.Nodes.ContainsKey(device.Node)
                && active.Replicas.ContainsKey(position.Replica)
            orderby state.Leaving.ContainsKey(device.Node), state.Accused.ContainsKey(device.Node)
            select (position, device);
        if (!peers.Any()) return false;
        var (held, peer) = peers.First();
        var layer = layout.LayersOf(held).First;
        var slice = new WeightSlice(
            TensorGroup.Layers,
            new LayerRange(layer, layer + 1),
            new SliceGeometry(state.Model!).ShareOf(TensorGroup.Layers, held.Rank, layout.Degrees.Ranks));
        var own = new DeviceId(name, state.Nodes[name].Info.Devices[0].Index);
        turn.Command(
            own,
            new ClusterProtocol.ProbeSources(
                state.Journal.Epoch, own, peer, slice, state.Nodes[peer.Node].Info.Endpoint)
            {
                Term = state.Journal.Term,
            });
        return true;
    }
}
