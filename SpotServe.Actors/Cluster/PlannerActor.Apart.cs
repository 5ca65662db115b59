using System.Collections.Immutable;
using Akka.Event;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>Nodes that the planner reaches and that do not reach each other: one of them is left out for a
/// time.</summary>
public sealed partial class PlannerActor
{
    private readonly Separations _separations;
    private ImmutableHashSet<string> _leftOut = [];
    private DateTimeOffset _connectingSince;

    /// <summary>A device could not reach a node in an epoch. If that node is gone, it will not answer, and nothing of
    /// this is kept.</summary>
    private void OnNotReached(Epoch epoch, string node, string other)
    {
        if (node == other || !_nodes.ContainsKey(other)) return;
        if (_separations.Report(node, other, epoch, Now) is not { } time) return;
        _log.Warning(
            "Nodes {0} and {1} do not reach each other: not used together for {2:0} s", node, other, time.TotalSeconds);
        RefreshLeftOut();
    }

    /// <summary>Two that are doubted have little time to connect.</summary>
    private void SeparateThoseThatDoNotConnect()
    {
        var change = _change!;
        if (!change.IsConnecting || Now < _connectingSince + _options.DoubtedConnectMax) return;
        var waiting = change.WaitingFor.Select(device => (device.Node, change.PositionOf(device).Replica)).ToList();
        foreach (var (node, replica) in waiting)
        {
            var other = waiting
                .Where(peer => peer.Replica == replica && string.CompareOrdinal(peer.Node, node) > 0)
                .Select(peer => peer.Node)
                .FirstOrDefault(peer => _separations.IsDoubted(node, peer, Now));
            if (other is null) continue;
            OnNotReached(change.Epoch, node, other);
            GiveUp($"nodes {node} and {other} do not connect");
            return;
        }
    }

    /// <summary>Whoever need not be left out any more is worth a plan.</summary>
    private void ReuniteWhenTheirTimeIsOver()
    {
        if (_leftOut.IsEmpty) return;
        var before = _leftOut;
        RefreshLeftOut();
        if (before.Except(_leftOut) is { IsEmpty: false } back)
        {
            var node = back.Order(StringComparer.Ordinal).First();
            Wish($"node {node} is tried with the others again", _options.Coalesce);
        }
    }

    private void RefreshLeftOut() => _leftOut = [.. _separations.LeftOut(
        _nodes.Keys.Where(node => !_notices.ContainsKey(node)),
        node => _serving is { } serving && _replicas.Count > 0 && Uses(serving.Layout, node),
        Now)];
}
