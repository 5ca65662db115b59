using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>What nodes report of themselves twice a second: who is there, and with what.</summary>
internal static class Reports
{
    public static void OnNode(Turn turn, PlannerInputs.NodeReported report)
    {
        var name = report.Node.Node;
        if (Refusal(turn, report) is { } reason)
        {
            turn.Warn("{Reason}", reason);
            turn.Send(report.Actor, new ClusterProtocol.NodeRefused(reason) { Term = turn.State.Journal.Term });
            return;
        }

        if (turn.State.Phase is CannotServe) turn.Rest("a node with another model is there");
        var before = turn.State.Nodes.GetValueOrDefault(name);
        var node = before is null
            ? new KnownNode(report.Node, report.Model, report.Actor, turn.Now)
            : before with { Info = report.Node, Model = report.Model, Address = report.Actor, SeenAt = turn.Now };
        turn.State = turn.State with
        {
            Nodes = turn.State.Nodes.SetItem(name, node),
            Names = before is null ? turn.State.Names.Add(name) : turn.State.Names,
            Roster = before is not null && SaysTheSame(before.Info, node.Info)
                ? turn.State.Roster
                : turn.State.Roster + 1,
        };
        // A process that reports has not ended, whatever it closed; whether it answers is still to be seen.
        if (turn.State.Accused.ContainsKey(name))
            turn.State = turn.State with { Accused = turn.State.Accused.SetItem(name, Signs.Word) };
        if (before is null) OnJoined(turn, node);
        else OnSeenAgain(turn, before, node);
    }

    private static bool SaysTheSame(NodeInfo before, NodeInfo now) =>
        before with { Devices = now.Devices } == now && before.Devices.SequenceEqual(now.Devices);

    private static void OnJoined(Turn turn, KnownNode node)
    {
        var name = node.Info.Node;
        turn.Info("Node {Node} joined with {Devices}", name, string.Join(", ", node.Info.Devices));
        turn.State = turn.State with { Setback = null };
        turn.Publish();
        // While the first nodes gather, those that are expected are waited for.
        if (turn.State.Phase is Gathering && turn.State.Due is null) return;
        var measures = Probing.Begin(turn, name);
        turn.PlanAfter($"node {name} joined", measures ? turn.Limits.ProbeMax : turn.Limits.Coalesce);
    }

    private static void OnSeenAgain(Turn turn, KnownNode before, KnownNode node)
    {
        Probing.Continue(turn, before, node);
        var (name, devices) = (node.Info.Node, node.Info.Devices.Length);
        if (before.Info.Devices.Length != devices)
            turn.PlanAfter($"node {name} has {devices} devices left", TimeSpan.Zero);
    }

    private static string? Refusal(Turn turn, PlannerInputs.NodeReported report)
    {
        var (node, theirs) = (report.Node, report.Model);
        if (turn.State.Phase is CannotServe cannot && cannot.Fingerprint == theirs.Fingerprint) return cannot.Reason;
        if (turn.State.Model is { } model && theirs.Fingerprint != model.Fingerprint)
        {
            return $"This cluster serves {model.Name} (fingerprint {model.Fingerprint}), but node " +
                $"{node.Node} has {theirs.Name} (fingerprint {theirs.Fingerprint}). " +
                "Start the node with the cluster's model folder and --dtype.";
        }

        // Twice a second for each node: all are looked through only when one says something new.
        var isNew = node.WeightsHash is not null
            && turn.State.Nodes.GetValueOrDefault(node.Node)?.Info.WeightsHash != node.WeightsHash;
        var other = isNew
            ? turn.State.Nodes.Values.FirstOrDefault(known => known.Info.Node != node.Node
                && known.Info.WeightsHash is { } theirHash && theirHash != node.WeightsHash)
            : null;
        if (other is not null)
        {
            return $"The weight files of node {node.Node} are not those of node {other.Info.Node}, though they have " +
                $"the same form: all bytes hash to {Short(node.WeightsHash)} and {Short(other.Info.WeightsHash)}. " +
                "Texts since both are there may be wrong. Compare the folders with where the model came from " +
                "(sha256sum), and copy the damaged one again.";
        }

        var mark = turn.Options.SecretMark ?? turn.State.Nodes.Values.FirstOrDefault()?.Info.SecretMark;
        return mark is null || node.SecretMark == mark
            ? MixedEncryption(turn, node)
            : $"Node {node.Node} has another secret than this cluster. " +
                "Start it with the SPOTSERVE_SECRET of the control nodes and the other nodes.";

        static string? Short(string? hash) => hash?.Length > 16 ? hash[..16] : hash;
    }

    private static string? MixedEncryption(Turn turn, NodeInfo node)
    {
        if (turn.Options.RequiresEncryptedData)
        {
            return node.EncryptsData
                ? null
                : $"Node {node.Node} does not encrypt its data plane, and the control node was started with " +
                    "--data-tls. Start the node with --data-tls as well.";
        }

        // Those that are here were each asked the same, so that any of them speaks for all.
        var other = turn.State.Nodes.Values.FirstOrDefault(known => known.Info.Node != node.Node);
        if (other is null || other.Info.EncryptsData == node.EncryptsData) return null;
        return $"Node {node.Node} {Does(node)} its data plane and node {other.Info.Node} {Does(other.Info)}, so that " +
            "they cannot connect. Start every node with --data-tls, or none.";

        static string Does(NodeInfo node) => node.EncryptsData ? "encrypts" : "does not encrypt";
    }
}
