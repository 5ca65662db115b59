using Akka.Event;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>Joins: how fast does the new node get weights from its peers, and how fast from its own disk?</summary>
public sealed partial class PlannerActor
{
    /// <returns>Whether there is something to wait for.</returns>
    private bool BeginProbe(string name)
    {
        if (_options.Stated is { Peer: not null, Disk: not null } || !AskForRates(name)) return false;
        _nodes[name].ProbeUntil = Now + _options.ProbeMax;
        return true;
    }

    /// <summary>With each report of the node: asks again, or goes on with what it measured.</summary>
    private void GoOnProbing(NodeInfo before, string name)
    {
        var node = _nodes[name];
        if (IsProbing(node)) AskForRates(name);
        if (before.Rates is not null || node.Info.Rates is not { } rates) return;
        _log.Info("Node {0} gets {1}", name, rates);
        if (_wish is { } wish && !_nodes.Values.Any(IsProbing)) Wish(wish.Cause, _options.Coalesce / 3);
    }

    private bool IsProbing(RegisteredNode node) => node.Info.Rates is null && Now < node.ProbeUntil;

    /// <returns>False when no other node has weights to try it with.</returns>
    private bool AskForRates(string name)
    {
        if (_serving is not { } serving || _replicas.Count == 0 || _nodes[name].Info.Devices.IsEmpty) return false;
        var layout = serving.Layout;
        var peers =
            from position in layout.Positions
            let device = layout.DeviceAt(position)
            where device.Node != name && _nodes.ContainsKey(device.Node) && _replicas.ContainsKey(position.Replica)
            orderby _notices.ContainsKey(device.Node), _accused.ContainsKey(device.Node)
            select (position, device);
        if (!peers.Any()) return false;
        var (held, peer) = peers.First();
        var layer = layout.LayersOf(held).First;
        var slice = new WeightSlice(
            TensorGroup.Layers,
            new LayerRange(layer, layer + 1),
            new SliceGeometry(Model!).ShareOf(TensorGroup.Layers, held.Rank, layout.Degrees.Ranks));
        var own = new DeviceId(name, _nodes[name].Info.Devices[0].Index);
        Command(own, new ProbeSources(_epoch, own, peer, slice, _nodes[peer.Node].Info.Endpoint) { Term = _term });
        return true;
    }
}
