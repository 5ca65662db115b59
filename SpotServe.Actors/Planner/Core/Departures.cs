using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>Nodes that will go: who says so, by when, and when they may.</summary>
internal static class Departures
{
    private const string OperatorSource = "admin";

    public static void OnNotice(Turn turn, ClusterProtocol.NodeNotice notice)
    {
        var (node, deadline) = (notice.Node, notice.Deadline);
        if (!turn.State.Nodes.ContainsKey(node)) return;
        // A told deadline counts more than one that was taken because the membership changed before the notice came.
        if (turn.State.Leaving.GetValueOrDefault(node) is { IsTold: true } known && known.Deadline <= deadline) return;
        var left = (deadline - turn.Now).TotalSeconds;
        var words = FormattableString.Invariant($"node {node} leaves in {left:0.#} s, {Teller(notice.Source)}");
        turn.Warn("Node {Node} leaves in {Seconds:0.0} s, {Source}", node, left, Teller(notice.Source));
        Leave(
            turn,
            node,
            new Departure(deadline, IsTold: true),
            Cause.Leaves(node, NoticedBySource(notice.Source), words));
    }

    public static void OnMemberLeaving(Turn turn, MemberLeaving leaving)
    {
        foreach (var node in turn.State.NamesFrom(leaving.Address + "#"))
        {
            if (turn.State.Leaving.ContainsKey(node)) continue;
            // Without a notice there is no deadline; it waits for its release as long as its own limits allow.
            var departure = new Departure(turn.Now + turn.Limits.LeaveMax, IsTold: false);
            Leave(turn, node, departure, Cause.Leaves(node, NoticedBy.Membership, $"node {node} leaves the cluster"));
        }
    }

    /// <summary>Nodes that nothing needs any more may go.</summary>
    public static void ReleaseThoseThatMayGo(Turn turn)
    {
        if (turn.State.Leaving.IsEmpty) return;
        var serving = turn.State.ServedLast?.Placement.Select(device => device.Node)
            .ToHashSet(StringComparer.Ordinal) ?? [];
        foreach (var name in turn.State.Leaving.Keys)
        {
            if (!turn.State.Nodes.TryGetValue(name, out var node))
            {
                turn.State = turn.State with { Leaving = turn.State.Leaving.Remove(name) };
                continue;
            }

            if (serving.Contains(name) || turn.Now < node.ToldToGoAt + turn.Limits.RepeatAfter) continue;
            turn.State = turn.State with
            {
                Nodes = turn.State.Nodes.SetItem(name, node with { ToldToGoAt = turn.Now }),
            };
            turn.Send(node.Address, new ClusterProtocol.NodeReleased(name)
            {
                Term = turn.State.Journal.Term,
            });
        }
    }

    private static NoticedBy NoticedBySource(string source) =>
        source == OperatorSource ? NoticedBy.Operator : NoticedBy.Notice;

    /// <summary>Who gave a notice, as a person would say it.</summary>
    private static string Teller(string source) => source switch
    {
        OperatorSource => "as an operator asked",
        "signal" => "as a signal to its process said",
        "file" => "as its notice file said",
        "aws" => "as AWS said",
        "azure" => "as Azure said",
        "gcp" => "as Google Cloud said",
        _ => $"as {source} said",
    };

    private static void Leave(Turn turn, string node, Departure departure, Cause cause)
    {
        turn.State = turn.State with { Leaving = turn.State.Leaving.SetItem(node, departure) };
        turn.State.Phase.OnNodeLeaving(turn, node, cause);
        turn.Publish();
    }
}
