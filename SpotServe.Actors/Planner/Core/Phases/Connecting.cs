using System.Collections.Immutable;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Planner;

/// <summary>Devices connect to each other and start their engine threads; leaders start their replicas.</summary>
/// <param name="Since">When they were first told to.</param>
/// <param name="WaitingFor">Devices that are not connected.</param>
/// <param name="Leaders">New replicas whose leader is there.</param>
internal sealed record Connecting(
    Change Change,
    DateTimeOffset Limit,
    DateTimeOffset RepeatAt,
    DateTimeOffset Since,
    ImmutableSortedSet<DeviceId> WaitingFor,
    ImmutableSortedDictionary<int, IAddress> Leaders)
    : GettingReady(Change, Limit, RepeatAt)
{
    protected override string Missing => string.Join(", ", WaitingFor);

    public static void Begin(Turn turn, Change change)
    {
        var connecting = turn.Enter(
            new Connecting(
                change, turn.Now + turn.Limits.ProgressMax, turn.Now + turn.Limits.RepeatAfter, turn.Now,
                [.. change.Layout.Placement], ImmutableSortedDictionary<int, IAddress>.Empty),
            $"connecting {change.Layout.Degrees}");
        connecting.Repeat(turn);
    }

    public override bool Hear(Turn turn, object message)
    {
        switch (message)
        {
            // What was heard before is no progress: it does not keep the phase from its limit.
            case ClusterProtocol.DeviceConnected connected when connected.Epoch == Epoch:
                if (WaitingFor.Contains(connected.Device))
                    Continue(turn, this with { WaitingFor = WaitingFor.Remove(connected.Device) });
                return true;
            case PlannerInputs.LeaderStarted started when started.Epoch == Epoch:
                if (started.Replica >= 0 && started.Replica < Layout.Degrees.Replicas
                    && !Leaders.ContainsKey(started.Replica))
                    Continue(turn, this with { Leaders = Leaders.SetItem(started.Replica, started.Leader) });
                return true;
            default:
                return base.Hear(turn, message);
        }
    }

    protected override void OnWaiting(Turn turn)
    {
        if (turn.Now >= Since + turn.Limits.DoubtedConnectMax && DoubtedPair(turn) is var (node, other))
        {
            Apart.OnNotReached(turn, Epoch, node, other);
            GiveUp(turn, $"nodes {node} and {other} do not connect");
            return;
        }

        base.OnWaiting(turn);
    }

    protected override void Repeat(Turn turn)
    {
        var devices = Layout.Placement.Concat(Change.Before?.Layout.Placement ?? []);
        var endpoints = turn.Endpoints(devices.Select(device => device.Node));
        var nodes = Layout.Placement.Select(device => device.Node).Distinct()
            .Where(turn.State.Nodes.ContainsKey)
            .ToImmutableSortedDictionary(name => name, name => turn.State.Nodes[name].Address, StringComparer.Ordinal);
        // A leader has two things to report, and either may be lost.
        var leaders = Enumerable.Range(0, Layout.Degrees.Replicas)
            .Where(replica => !Leaders.ContainsKey(replica))
            .Select(replica => Layout.DeviceAt(new Position(replica, 0, 0)));
        foreach (var device in Layout.Placement.Where(WaitingFor.Contains).Union(leaders))
        {
            if (!turn.State.Nodes.TryGetValue(device.Node, out var node)) continue;
            turn.Do(new PlannerEffect.Connect(
                node.Address, Epoch, device, Layout, endpoints, turn.State.Model!.ContextMax, nodes,
                Change.Decision.Origin, turn.State.Journal.Term));
        }
    }

    private static void Continue(Turn turn, Connecting next)
    {
        next = next with { Limit = turn.Now + turn.Limits.ProgressMax };
        turn.Stay(next);
        if (!next.WaitingFor.IsEmpty || next.Leaders.Count < next.Layout.Degrees.Replicas) return;
        if (turn.State.Active is not { IsServing: true }) Releasing.Activate(turn, next.Change, next.Leaders);
        else if (next.Change.Decision.Origin is null) CuttingOver.Begin(turn, next.Change, next.Leaders);
        else HandingOver.Begin(turn, next.Change, next.Leaders);
    }

    /// <summary>Two that are doubted have little time to connect.</summary>
    private (string Node, string Other)? DoubtedPair(Turn turn)
    {
        if (turn.State.Separations.Count == 0) return null;
        var waiting = WaitingFor.Select(device => (device.Node, Layout.PositionOf(device).Replica)).ToList();
        foreach (var (node, replica) in waiting)
        {
            var other = waiting
                .Where(peer => peer.Replica == replica && string.CompareOrdinal(peer.Node, node) > 0)
                .Select(peer => peer.Node)
                .FirstOrDefault(peer => turn.State.Separations.IsDoubted(node, peer, turn.Now));
            if (other is not null) return (node, other);
        }

        return null;
    }
}
