using Akka.Actor;
using Akka.Cluster;
using Akka.Event;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>The planner's knowledge of nodes and gateways: who reported, who is gone.</summary>
public sealed partial class PlannerActor
{
    private void OnRegisterNode(RegisterNode message)
    {
        if (Refusal(message) is { } reason)
        {
            _log.Warning("{Reason}", reason);
            message.NodeActor.Tell(new NodeRefused(reason));
            return;
        }

        var isNew = !_nodes.ContainsKey(message.Node.Node);
        _nodes[message.Node.Node] =
            new RegisteredNode(message.Node, message.Model, message.NodeActor, _clock.GetUtcNow());
        if (!isNew) return;
        _log.Info("Node {Node} joined with {Devices}", message.Node.Node, string.Join(", ", message.Node.Devices));
        Publish();
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

    private void OnRegisterGateway(RegisterGateway message)
    {
        if (_gateways.Add(message.Gateway)) Context.Watch(message.Gateway);
        message.Gateway.Tell(View());
    }

    private void OnMemberLost(Member member, string how)
    {
        var address = $"{member.Address.Host}:{member.Address.Port}#";
        foreach (var lost in _nodes.Keys.Where(node => node.StartsWith(address, StringComparison.Ordinal)).ToArray())
        {
            Lose(lost, $"node {lost} {how}");
        }
    }

    private void Lose(string node, string cause)
    {
        if (!_nodes.Remove(node)) return;
        _log.Warning("{Cause}", cause);
        if (_plan is { } plan && plan.Layout.Placement.Any(device => device.Node == node)) Replan(cause);
        else Publish();
    }

    private void DropSilentNodes()
    {
        var limit = _clock.GetUtcNow() - _options.NodeSilenceMax;
        var silentNodes = _nodes.Values.Where(node => node.SeenAt < limit).Select(node => node.Info.Node);
        foreach (var silent in silentNodes.ToArray())
        {
            Lose(silent, $"node {silent} has not reported for {_options.NodeSilenceMax.TotalSeconds:0.#} s");
        }
    }

    private sealed record RegisteredNode(NodeInfo Info, ModelSpec Model, IActorRef Actor, DateTimeOffset SeenAt);
}
