using System.Collections.Immutable;
using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>The planner's knowledge of nodes and gateways: who reported, who leaves, who is gone.</summary>
public sealed partial class PlannerActor
{
    private readonly Dictionary<string, RegisteredNode> _nodes = [];
    private readonly Dictionary<string, DateTimeOffset> _notices = [];
    /// <summary>Those in <see cref="_notices"/> whose deadline was never told.</summary>
    private readonly HashSet<string> _leavingUntold = [];
    private readonly Dictionary<string, DateTimeOffset> _accused = [];
    private readonly HashSet<IActorRef> _gateways = [];
    private LayoutDegrees? _wanted;

    /// <summary>Nodes that a layout may use. Name order makes placements the same whoever registered first.</summary>
    private ImmutableArray<NodeInfo> Staying() =>
    [
        .. _nodes.Values.Select(node => node.Info)
            .Where(node => !_notices.ContainsKey(node.Node) && !node.Devices.IsEmpty && !_leftOut.Contains(node.Node))
            .OrderBy(node => node.Node, StringComparer.Ordinal),
    ];

    private void OnRegisterNode(RegisterNode message)
    {
        if (Refusal(message) is { } reason)
        {
            _log.Warning("{0}", reason);
            message.NodeActor.Tell(new NodeRefused(reason));
            return;
        }

        var name = message.Node.Node;
        var before = _nodes.GetValueOrDefault(name);
        _nodes[name] = new RegisteredNode(message.Node, message.Model, message.NodeActor, Now)
        {
            ToldToGoAt = before?.ToldToGoAt ?? default,
            ProbeUntil = before?.ProbeUntil ?? default,
        };
        if (before is null)
        {
            _log.Info("Node {0} joined with {1}", name, string.Join(", ", message.Node.Devices));
            // While the first nodes gather, those that are expected are waited for.
            if (_phase != PlannerPhase.Gathering || _wish is not null)
                Wish($"node {name} joined", BeginProbe(name) ? _options.ProbeMax : _options.Coalesce);
            Publish();
            return;
        }

        GoOnProbing(before.Info, name);
        if (before.Info.Devices.Length != message.Node.Devices.Length)
        {
            Wish($"node {name} has {message.Node.Devices.Length} devices left", TimeSpan.Zero);
        }
    }

    private string? Refusal(RegisterNode message)
    {
        var (model, theirs) = (Model, message.Model);
        if (model is not null && theirs.Fingerprint != model.Fingerprint)
        {
            return $"This cluster serves {model.Name} (fingerprint {model.Fingerprint}), but node " +
                $"{message.Node.Node} has {theirs.Name} (fingerprint {theirs.Fingerprint}). " +
                "Start the node with the cluster's model folder and --dtype.";
        }

        var mark = _options.SecretMark ?? _nodes.Values.FirstOrDefault()?.Info.SecretMark;
        return mark is null || message.Node.SecretMark == mark
            ? null
            : $"Node {message.Node.Node} has another secret than this cluster. " +
                "Start it with the SPOTSERVE_SECRET of the control nodes and the other nodes.";
    }

    private void OnNotice(NodeNotice notice)
    {
        if (!_nodes.ContainsKey(notice.Node)) return;
        // A told deadline counts more than one that was taken because the membership changed before the notice came.
        var isUntold = _leavingUntold.Remove(notice.Node);
        if (!isUntold && _notices.TryGetValue(notice.Node, out var known) && known <= notice.Deadline) return;
        _notices[notice.Node] = notice.Deadline;
        var left = notice.Deadline - Now;
        _log.Warning("Node {0} leaves in {1:0.0} s ({2})", notice.Node, left.TotalSeconds, notice.Source);
        Leave(notice.Node, $"node {notice.Node} leaves in {left.TotalSeconds:0.#} s ({notice.Source})");
    }

    private void OnMemberLeaving(MemberLeaving leaving)
    {
        foreach (var node in NodesAt(leaving.Address).Where(node => !_notices.ContainsKey(node)))
        {
            // Without a notice there is no deadline; it waits for its release as long as its own limits allow.
            _notices[node] = Now + _options.LeaveMax;
            _leavingUntold.Add(node);
            Leave(node, $"node {node} leaves the cluster");
        }
    }

    private void Leave(string node, string cause)
    {
        // Nothing that is being made ready for a node that leaves is of use.
        if (_phase == PlannerPhase.PreCopying && Uses(_change!.Layout, node)) GiveUp(cause);
        else Wish(cause, _options.Coalesce / 3);
        Publish();
    }

    /// <summary>Nodes that nothing needs any more may go.</summary>
    private void ReleaseLeavingNodes()
    {
        foreach (var name in _notices.Keys.ToArray())
        {
            if (!_nodes.TryGetValue(name, out var node))
            {
                _notices.Remove(name);
                _leavingUntold.Remove(name);
                continue;
            }

            if (_serving is { } serving && Uses(serving.Layout, name)) continue;
            if (Now < node.ToldToGoAt + _options.RepeatAfter) continue;
            node.ToldToGoAt = Now;
            node.Actor.Tell(new NodeReleased(name));
        }
    }

    private void OnPreemptNode(PreemptNode command)
    {
        if (_nodes.TryGetValue(command.Node, out var node))
        {
            node.Actor.Tell(command);
            Sender.Tell(new OperatorAnswer(null));
            return;
        }

        Sender.Tell(new OperatorAnswer(
            $"There is no node {command.Node}. These are: {string.Join(", ", _nodes.Keys.Order())}."));
    }

    private void OnChangeLayout(ChangeLayout command)
    {
        if (Model is not { } model)
        {
            Sender.Tell(new OperatorAnswer("No node has reported yet, so there is no model to lay out."));
            return;
        }

        var devices = Staying().Sum(node => node.Devices.Length);
        if (command.Wanted is { } wanted
            && LayoutConstraints.Violation(wanted, model.LayerCount, model.HeadCount, devices) is { } violation)
        {
            Sender.Tell(new OperatorAnswer(violation));
            return;
        }

        _wanted = command.Wanted is { } degrees ? degrees with { BatchSize = _options.SequencesMax } : null;
        Sender.Tell(new OperatorAnswer(null));
        Wish(command.Wanted is null ? "asked to choose the layout" : $"asked for {command.Wanted}", TimeSpan.Zero);
    }

    private void OnRegisterGateway(RegisterGateway message)
    {
        if (_gateways.Add(message.Gateway)) Context.Watch(message.Gateway);
        message.Gateway.Tell(View());
    }

    private void OnMemberLost(MemberLost lost)
    {
        foreach (var node in NodesAt(lost.Address)) Lose(node, $"node {node} {lost.How}");
    }

    private void OnMemberSuspected(MemberSuspected suspected)
    {
        foreach (var node in NodesAt(suspected.Address)) Suspect(node, $"the connection to node {node} broke");
    }

    /// <summary>Some member says so. If it is a node that cannot reach another one, this is no loss.</summary>
    private void OnMemberUnreachable(MemberUnreachable member)
    {
        foreach (var node in NodesAt(member.Address))
        {
            if (Now - _nodes[node].SeenAt >= _options.SuspectAfter) Lose(node, $"node {node} is unreachable");
            else _log.Info("Node {0} is unreachable for another member, and reports here", node);
        }
    }

    /// <summary>Asks all nodes what they hold, with little patience for this one; if it answers, nothing
    /// changes.</summary>
    private void Suspect(string node, string why)
    {
        _accused[node] = Now;
        if (_phase == PlannerPhase.PreCopying && IsAwaited(node)) GiveUp(why);
        else if (_serving is { } serving && Uses(serving.Layout, node)) Wish(why, TimeSpan.Zero);
    }

    /// <summary>A device that gets ready has no data-plane links yet that would tell of its end: its reports
    /// must.</summary>
    private void SuspectSilentNodes()
    {
        var limit = Now - _options.SuspectAfter;
        var silentNode = _nodes.Values
            .Where(node => node.SeenAt < limit && IsAwaited(node.Info.Node))
            .Select(node => node.Info.Node)
            .FirstOrDefault();
        if (silentNode is null) return;
        Suspect(silentNode, $"node {silentNode} has not reported for {_options.SuspectAfter.TotalSeconds:0.#} s");
    }

    private void OnDeviceFailed(DeviceFailed failed)
    {
        var cause = $"device {failed.Device} reported: {failed.Reason}";
        if (failed.LostNode is { } accused)
        {
            _accused[accused] = Now;
            // Also of an epoch that is over by now: the second of the two reports late.
            if (failed.IsSilent) OnNotReached(failed.Epoch, failed.Device.Node, accused);
        }

        if (failed.Epoch == _change?.Epoch)
        {
            if (_phase == PlannerPhase.Releasing) LoseReplica(_change.PositionOf(failed.Device).Replica, cause);
            GiveUp(cause);
        }
        else if (failed.Epoch == _serving?.Epoch && _serving.Layout.Placement.Contains(failed.Device))
        {
            var position = _serving.Layout.PositionAt(_serving.Layout.Placement.IndexOf(failed.Device));
            var wasServing = _replicas.ContainsKey(position.Replica);
            LoseReplica(position.Replica, cause);
            // Whether the accused node still lives shows when nodes are asked what they hold. Those that fail later,
            // because the others closed their links, accuse the living.
            if (wasServing && failed.LostNode is { } lost && _change is { } change && Uses(change.Layout, lost))
            {
                GiveUp(cause);
            }
        }
        else
        {
            // Nodes repeat a failure until they hear of it.
            _log.Debug("Ignored {0}: epoch is now {1}", failed, _epoch);
            Command(failed.Device, new ReleasePosition(failed.Epoch, failed.Device, Trim: false) { Term = _term });
        }
    }

    private void OnReplicaLost(ReplicaControlProtocol.ReplicaLost lost)
    {
        if (lost.Epoch == _serving?.Epoch) LoseReplica(lost.Replica, $"replica {lost.Replica} stopped: {lost.Reason}");
    }

    /// <summary>A node is gone: whatever counts on it is over.</summary>
    private void Lose(string node, string cause)
    {
        if (!_nodes.Remove(node)) return;
        _notices.Remove(node);
        _leavingUntold.Remove(node);
        _accused.Remove(node);
        _holdings.Remove(node);   // What it held is no source for the plan that is being made.
        _separations.Forget(node);
        _log.Warning("{0}", cause);
        if (_serving is { } serving)
        {
            foreach (var position in serving.Layout.Positions.ToArray())
            {
                if (serving.Layout.DeviceAt(position).Node == node) LoseReplica(position.Replica, cause);
            }
        }

        if (IsAwaited(node)) GiveUp(cause);
        Publish();
    }

    /// <summary>A serving replica can serve no more; the others of its epoch go on.</summary>
    private void LoseReplica(int replica, string cause)
    {
        if (!_replicas.Remove(replica)) return;
        _log.Warning("Replica {0} of {1} is lost: {2}", replica, _serving!.Epoch, cause);
        _loads.Remove(replica);
        if (_replicas.Count == 0) _lostAllAt = Now;
        OnOldReplicaLost(replica);
        Publish();
        // What is being made ready goes on: it does not need the lost one. Otherwise a plan is due at once.
        if (_change is null) Wish(cause, TimeSpan.Zero);
    }

    private void DropSilentNodes()
    {
        var limit = Now - _options.NodeSilenceMax;
        var silentNodes = _nodes.Values.Where(node => node.SeenAt < limit).Select(node => node.Info.Node);
        foreach (var silent in silentNodes.ToArray())
        {
            Lose(silent, $"node {silent} has not reported for {_options.NodeSilenceMax.TotalSeconds:0.#} s");
        }
    }

    private string[] NodesAt(string address) =>
        [.. _nodes.Keys.Where(node => node.StartsWith(address + "#", StringComparison.Ordinal))];

    /// <summary>Whether what is under way cannot come to its end without this node: it is part of the next layout, or
    /// has to give memory back before that one gets ready.</summary>
    private bool IsAwaited(string node) => _change is { } change && (Uses(change.Layout, node)
        || (_phase == PlannerPhase.PreCopying && change.WaitingFor.Any(device => device.Node == node)));

    private static bool Uses(Layout layout, string node) => layout.Placement.Any(device => device.Node == node);

    private sealed record RegisteredNode(NodeInfo Info, ModelSpec Model, IActorRef Actor, DateTimeOffset SeenAt)
    {
        public DateTimeOffset ToldToGoAt { get; set; }

        /// <summary>Until then its rates are waited for.</summary>
        public DateTimeOffset ProbeUntil { get; set; }
    }
}
