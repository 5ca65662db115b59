using System.Collections.Immutable;

namespace SpotServe.Actors.Vocabulary;

/// <summary>One replica of a layout: what its positions have to know of where they are, however many replicas there
/// are beside it.</summary>
/// <param name="Replica">Its index in the layout.</param>
/// <param name="Degrees">Of the layout.</param>
/// <param name="StageLayers">P ranges.</param>
/// <param name="Devices">P x M devices, stage after stage.</param>
public sealed record ReplicaPlacement(
    int Replica, LayoutDegrees Degrees, ImmutableArray<LayerRange> StageLayers, ImmutableArray<DeviceId> Devices)
    : IPlacement
{
    public static ReplicaPlacement Of(Layout layout, int replica)
    {
        var (stages, size) = (layout.Degrees.Stages, layout.Degrees.Stages * layout.Degrees.Ranks);
        return new ReplicaPlacement(
            replica,
            layout.Degrees,
            layout.StageLayers.Slice(replica * stages, stages),
            layout.Placement.Slice(replica * size, size));
    }

    public DeviceId DeviceAt(Position position)
    {
        Invariant.Holds(position.Replica == Replica, "only this replica's places are known");
        return Devices[(position.Stage * Degrees.Ranks) + position.Rank];
    }

    public LayerRange LayersOf(Position position)
    {
        Invariant.Holds(position.Replica == Replica, "only this replica's places are known");
        return StageLayers[position.Stage];
    }

    public IEnumerable<Position> PositionsOf(int replica)
    {
        Invariant.Holds(replica == Replica, "only this replica's places are known");
        return Enumerable.Range(0, Devices.Length).Select(
            index => new Position(Replica, index / Degrees.Ranks, index % Degrees.Ranks));
    }
}
