using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>How fast does a node get weights from its peers, and how fast from its own disk? One that joins is asked
/// before the next plan; the first ones, when a layout serves and there are weights to try it with.</summary>
internal static class Probing
{
    /// <returns>Whether there is something to wait for.</returns>
    public static bool Begin(Turn turn, string name)
    {
        if (IsStated(turn) || !AskForRates(turn, name)) return false;
        var node = turn.State.Nodes[name] with { ProbeUntil = turn.Now + turn.Limits.ProbeMax };
        turn.State = turn.State with { Nodes = turn.State.Nodes.SetItem(name, node) };
        return true;
    }

    /// <summary>Nothing is under way: the next node that was never asked is, one at a time, since each takes from the
    /// links of another. One that does not answer is not asked for ever.</summary>
    public static void OnServing(Turn turn)
    {
        if (IsStated(turn)) return;
        var nodes = turn.State.Nodes.Values;
        if (nodes.Any(node => node.IsProbing(turn.Now))) return;
        var next = nodes.FirstOrDefault(node => node is { Info.Rates: null, WasProbed: false }
            && !node.Info.Devices.IsEmpty && !turn.State.Leaving.ContainsKey(node.Info.Node));
        if (next is not null) Begin(turn, next.Info.Node);
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

    private static bool IsStated(Turn turn) => turn.Options.Stated is { Peer: not null, Disk: not null };

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
