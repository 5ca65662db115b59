using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Planner;

/// <summary>Whose words those of a replica have to be: they name an epoch and a replica, and the planner knows on which
/// node that replica's leader is.</summary>
internal static class ReplicaWords
{
    /// <summary>The node that a replica's message speaks for; null for other messages, and for those of an epoch that
    /// neither serves nor is made ready, which change nothing.</summary>
    public static string? NodeOf(PlannerState state, object message) =>
        Replica(message) is { } said && LayoutOf(state, said.Epoch) is { } layout
            ? (uint)said.Replica < (uint)layout.Degrees.Replicas
                ? layout.DeviceAt(new Position(said.Replica, 0, 0)).Node
                : $"replica {said.Replica}, which {said.Epoch} does not have"
            : null;

    private static (Epoch Epoch, int Replica)? Replica(object message) => message switch
    {
        ReplicaStarted started => (started.Epoch, started.Replica),
        ReplicaControlProtocol.Drained drained => (drained.Epoch, drained.Replica),
        ReplicaControlProtocol.ReplicaLoad load => (load.Epoch, load.Replica),
        ReplicaControlProtocol.ReplicaLost lost => (lost.Epoch, lost.Replica),
        ReplicaControlProtocol.ReplicaCacheReport report => (report.Epoch, report.Replica),
        HandoverProtocol.HandoverReady ready => (ready.Epoch, ready.Replica),
        HandoverProtocol.ReplicaServes serves => (serves.Epoch, serves.Replica),
        _ => null,
    };

    private static Layout? LayoutOf(PlannerState state, Epoch epoch) =>
        state.Phase is ChangingPhase { Change: var change } && change.Epoch == epoch ? change.Layout
        : state.Active?.Epoch == epoch ? state.Active.Layout
        : null;
}
