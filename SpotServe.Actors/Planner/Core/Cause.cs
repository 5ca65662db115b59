using System.Collections.Immutable;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Why there is a plan, in a person's words: what was noticed first comes first. Several events may make one plan, and
/// one event shows in several ways. A node that is known to go is named once, by the first sign of it; of what only
/// follows from that, a replica that stopped say, nothing is said then.
/// </summary>
internal sealed record Cause
{
    private const int ReasonsMax = 4;

    private Cause(ImmutableArray<Reason> reasons) => Reasons = reasons;

    /// <summary>Nodes that are gone or will go.</summary>
    public ImmutableArray<DepartedNode> Gone =>
        [.. Reasons.Where(reason => reason is { Node: not null, Standing: Standing.Sure })
            .Select(reason => new DepartedNode(reason.Node!.Node, reason.Node.By))];

    private ImmutableArray<Reason> Reasons { get; init; }

    public static implicit operator Cause(string text) => new([new Reason(text, null, Standing.Sure)]);

    /// <summary>A node will go; the text says by when, and who said so.</summary>
    public static Cause Leaves(string node, NoticedBy by, string text) =>
        new([new Reason(text, new DepartedNode(node, by), Standing.Sure)]);

    /// <summary>A node is gone.</summary>
    public static Cause Lost(string node, NoticedBy by) => Of(new DepartedNode(node, by), Standing.Sure);

    /// <summary>A node may be gone, or only cut off from the one that says so.</summary>
    public static Cause Accused(string node, NoticedBy by) => Of(new DepartedNode(node, by), Standing.Doubtful);

    /// <summary>Something that mostly follows from a loss, and is the cause where no loss is found.</summary>
    public static Cause Symptom(string text) => new([new Reason(text, null, Standing.Symptom)]);

    /// <summary>This, and what was noticed after it.</summary>
    public Cause And(Cause later)
    {
        var reasons = Reasons;
        foreach (var reason in later.Reasons)
        {
            var known = reasons.FirstOrDefault(known => known.IsOfSame(reason));
            if (known is null) reasons = reasons.Add(reason);
            else if (known.Standing == Standing.Doubtful && reason.Standing == Standing.Sure)
                reasons = reasons.Replace(known, Of(known.Node!, Standing.Sure).Reasons[0]);
            // A notice says more than the membership, which changes because of it.
            else if (known.Node is { By: NoticedBy.Membership }
                && reason.Node is { By: NoticedBy.Notice or NoticedBy.Operator })
                reasons = reasons.Replace(known, reason);
        }

        return this with { Reasons = Bounded(reasons) };
    }

    /// <summary>Without what was suspected of a node that has answered, if another reason is left.</summary>
    public Cause Acquit(string node)
    {
        var left = Reasons.RemoveAll(reason => reason.Standing == Standing.Doubtful && reason.Node?.Node == node);
        return left.IsEmpty || left.Length == Reasons.Length ? this : this with { Reasons = left };
    }

    public bool Equals(Cause? other) => other is not null && Reasons.SequenceEqual(other.Reasons);

    public override int GetHashCode() => Reasons.Length > 0 ? Reasons[0].GetHashCode() : 0;

    public override string ToString()
    {
        var best = Reasons.Max(reason => reason.Standing);
        return string.Join("; ", Reasons.Where(reason => reason.Standing == best).Select(reason => reason.Text));
    }

    private static Cause Of(DepartedNode node, Standing standing) =>
        new([new Reason(Text(node, standing == Standing.Sure), node, standing)]);

    private static string Text(DepartedNode node, bool isSure) => (node.By, isSure) switch
    {
        (NoticedBy.ClosedConnections, true) => $"node {node.Node} was killed: it closed its connections",
        (NoticedBy.ClosedConnections, false) => $"node {node.Node} closed connections",
        (NoticedBy.Silence, true) => $"node {node.Node} was lost: it fell silent",
        (NoticedBy.Silence, false) => $"node {node.Node} does not answer",
        (NoticedBy.Membership, _) => $"node {node.Node} was lost: the cluster gave it up",
        _ => $"node {node.Node} leaves",
    };

    /// <summary>The first ones stay, and before others those that name a node that is gone.</summary>
    private static ImmutableArray<Reason> Bounded(ImmutableArray<Reason> reasons)
    {
        while (reasons.Length > ReasonsMax)
        {
            var least = reasons.Min(reason => (reason.Standing, reason.Node is not null));
            reasons = reasons.Remove(reasons.Last(reason => (reason.Standing, reason.Node is not null) == least));
        }

        return reasons;
    }

    private enum Standing
    {
        Symptom,
        Doubtful,
        Sure,
    }

    private sealed record Reason(string Text, DepartedNode? Node, Standing Standing)
    {
        public bool IsOfSame(Reason other) =>
            Node is null || other.Node is null ? Text == other.Text : Node.Node == other.Node.Node;
    }
}
