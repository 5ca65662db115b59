using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Planner;

/// <summary>Messages that carry actors, as the core has them and as the wire has them.</summary>
internal static class PlannerMessages
{
    public static PlannerInputs.NodeReported Input(RegisterNode message) =>
        new(message.Node, message.Model, new ActorAddress(message.NodeActor));

    public static PlannerInputs.LeaderStarted Input(ReplicaStarted message) =>
        new(message.Epoch, message.Replica, new ActorAddress(message.ReplicaActor));

    public static PlannerInputs.HoldingsReported Input(NodeHoldings message) => new(
        message.Round,
        message.Node,
        [.. message.Devices.Select(device => new HeldDevice(
            device.Device, device.Weights, [.. device.Positions.Select(Input)]))]);

    /// <summary>Of the layout a position is told what concerns it.</summary>
    public static ConnectPosition Message(PlannerEffect.Connect connect)
    {
        var position = connect.Layout.PositionOf(connect.Device);
        var replica = ReplicaPlacement.Of(connect.Layout, position.Replica);
        var origin = connect.Origin is { } whole
            ? PositionOrigin.Of(whole, position.Replica, connect.Device)
            : null;
        var own = replica.Devices.Select(device => device.Node).ToHashSet();
        var others = origin?.Replicas.SelectMany(old => old.Devices).Select(device => device.Node) ?? [];
        return new ConnectPosition(
            connect.Epoch,
            connect.Device,
            replica,
            own.Union(others).Where(connect.Endpoints.ContainsKey)
                .ToImmutableDictionary(node => node, node => connect.Endpoints[node]),
            connect.ContextMax,
            position is { Stage: 0, Rank: 0 }
                ? own.Where(connect.Nodes.ContainsKey)
                    .ToImmutableDictionary(node => node, node => ActorAddress.ActorOf(connect.Nodes[node]))
                : ImmutableDictionary<string, Akka.Actor.IActorRef>.Empty,
            origin)
        {
            Term = connect.Term,
        };
    }

    public static HandoverProtocol.BeginHandover Message(PlannerEffect.BeginHandover begin) => new(
        begin.Epoch,
        begin.NewEpoch,
        [.. begin.Targets.Select(target => new HandoverProtocol.HandoverTarget(
            target.NewReplica, ActorAddress.ActorOf(target.Leader), target.Requests, target.IsHome, target.PageCount,
            target.ReservedPages))]);

    /// <summary>What gateways are shown.</summary>
    public static PlannerView View(PlannerState state)
    {
        var change = (state.Phase as ChangingPhase)?.Change;
        return new PlannerView(
            state.Journal.Epoch,
            state.Phase.Name,
            state.StatusLine,
            state.Model,
            change?.Layout ?? state.ServedLast,
            state.Active?.Epoch ?? state.Claim?.Epoch ?? Epoch.None,
            [.. (state.Active?.Replicas ?? ImmutableSortedDictionary<int, IAddress>.Empty)
                .Select(replica => new ServingReplica(replica.Key, ActorAddress.ActorOf(replica.Value)))],
            [.. state.Nodes.Values.Select(node => node.Info)],
            change?.Progress ?? [])
        {
            Term = state.Journal.Term,
            Loads = [.. state.Active?.Loads.Values.Select(report => report.Load) ?? []],
            Latest = state.Aftermath.Latest,
            Leaving = state.Leaving.ToImmutableDictionary(node => node.Key, node => node.Value.Deadline),
        };
    }

    /// <summary>With what is known by now of the requests that went on.</summary>
    public static Timeline Timeline(PlannerState state, DateTimeOffset now)
    {
        var known = state.Journal.Timeline;
        var all = state.Phase is ChangingPhase changing
            ? known.Add(changing.Change.Record(ReconfigurationRecord.UnderWay, now))
            : known;
        return new Timeline([.. all.Select(record => state.Aftermath.Complete(record, known))]);
    }

    public static FleetTold Fleet(PlannerState state)
    {
        var kinds = DeviceKinds.InstancesOf(
                [.. state.Nodes.Values.Select(node => node.Info).Where(node => !node.Devices.IsEmpty)])
            .ToDictionary(instance => instance.Node, instance => instance.Kind.Name);
        return new FleetTold(
            state.Journal.Wish,
            [
                .. state.Nodes.Values.Select(node => new FleetNode(
                    node.Info.Node,
                    node.Info.Machine,
                    kinds.GetValueOrDefault(node.Info.Node, "without devices"),
                    node.Info.Devices.Length,
                    state.Leaving.TryGetValue(node.Info.Node, out var leaving) ? leaving.Deadline : null,
                    state.ServesOn(node.Info.Node))),
            ]);
    }

    private static HeldPosition Input(PositionReport report) => new(
        report.Epoch,
        report.Assignment,
        report.IsRunning,
        report.Replica is null ? null : new ActorAddress(report.Replica));
}
