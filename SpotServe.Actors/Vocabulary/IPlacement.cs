namespace SpotServe.Actors.Vocabulary;

/// <summary>Where replicas of a layout are: all of them in <see cref="Layout"/>, one in
/// <see cref="ReplicaPlacement"/>.</summary>
public interface IPlacement
{
    LayoutDegrees Degrees { get; }

    DeviceId DeviceAt(Position position);

    LayerRange LayersOf(Position position);

    /// <summary>A replica's positions, stage after stage.</summary>
    IEnumerable<Position> PositionsOf(int replica);
}
