using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>Lets the core go through a notice and a loss once, and drops what comes of it: so that the first real ones
/// do not wait for code to be compiled.</summary>
internal static class Rehearsal
{
    /// <param name="serving">A state in which a layout serves and nothing is under way.</param>
    /// <returns>What each of them came to. None while there are fewer than two nodes.</returns>
    public static ImmutableArray<PlannerState> Run(PlannerCore core, PlannerState serving, DateTimeOffset now)
    {
        if (serving.Active is not { } active || serving.Nodes.Count < 2) return [];
        var last = active.Layout.Placement[^1].Node;
        var address = last.Split('#')[0];
        return
        [
            Play(core, serving, now, new MemberLeaving(address)),
            Play(core, serving, now, new MemberLost(address, "was lost in a rehearsal")),
            // As a killed process is noticed: who lost a link to it says so before all have answered.
            Play(
                core,
                serving,
                now,
                new MemberSuspected(address),
                new MemberRefuses(address),
                new ClusterProtocol.DeviceFailed(
                    active.Epoch, active.Layout.Placement[0], "it lost a peer in a rehearsal", last)
                {
                    Kind = FailureKind.Peer,
                }),
        ];
    }

    private static PlannerState Play(
        PlannerCore core, PlannerState state, DateTimeOffset now, params ReadOnlySpan<object> first)
    {
        foreach (var happened in first) Hear(happened);
        if (state.Due is { } due)
        {
            now = due.At;
            Hear(PlannerInputs.Tick.Instance);
        }

        if (state.Phase is not Asking { Round: var round } || state.Active is not { } active) return state;
        foreach (var replica in active.Replicas.Keys)
        {
            Hear(new ReplicaControlProtocol.ReplicaCacheReport(
                active.Epoch, replica, [new CachedRequest(new RequestId($"rehearsal-{replica}"), 20, 10)]));
        }

        foreach (var node in state.Nodes.Values)
        {
            Hear(new PlannerInputs.HoldingsReported(
                round, node.Info.Node, [.. node.Info.Devices.Select(device => Held(state, active, node, device))]));
        }

        if (state.Phase is ChangingPhase { Change: var change }) GoThrough(change);
        return state;

        void GoThrough(Change change)
        {
            var (epoch, layout, replicas) = (change.Epoch, change.Layout, change.Layout.Degrees.Replicas);
            foreach (var device in layout.Placement) Hear(new ClusterProtocol.DevicePrepared(epoch, device, 0));
            foreach (var device in layout.Placement) Hear(new ClusterProtocol.DeviceConnected(epoch, device));
            for (var i = 0; i < replicas; i++) Hear(new PlannerInputs.LeaderStarted(epoch, i, new Nobody()));
            foreach (var old in active.Replicas.Keys)
            {
                Hear(new HandoverProtocol.HandoverReady(active.Epoch, old, epoch));
                Hear(new ReplicaControlProtocol.Drained(active.Epoch, old));
            }

            for (var i = 0; i < replicas; i++) Hear(new HandoverProtocol.ReplicaServes(epoch, i, 1, 0, 0, 0));
            foreach (var device in active.Layout.Placement)
                Hear(new ClusterProtocol.PositionReleased(active.Epoch, device));
        }

        void Hear(object happened) => state = core.Step(state, happened, now).State;
    }

    /// <summary>What a device of the layout that serves has, and nothing on others.</summary>
    private static HeldDevice Held(PlannerState state, ActiveEpoch active, KnownNode node, DeviceInfo info)
    {
        var (layout, device) = (active.Layout, new DeviceId(node.Info.Node, info.Index));
        if (!layout.Placement.Contains(device)) return new HeldDevice(device, [], []);
        var position = layout.PositionOf(device);
        var assignment = new StageAssignment(
            active.Epoch, position, layout.LayersOf(position), layout.Degrees.Stages, layout.Degrees.Ranks,
            active.Serving.Pages[position.Replica], 1, 1);
        return new HeldDevice(
            device,
            [.. new SliceGeometry(state.Model!).Need(PositionNeed.Of(layout, position))],
            [new HeldPosition(active.Epoch, assignment, true, null)]);
    }

    private sealed record Nobody : IAddress;
}
