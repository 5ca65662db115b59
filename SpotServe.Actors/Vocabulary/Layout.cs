using System.Collections.Immutable;

namespace SpotServe.Actors.Vocabulary;

/// <summary>The degrees of parallelism: (D, P, M) and the concurrent sequences B of each replica.</summary>
public readonly record struct LayoutDegrees(int Replicas, int Stages, int Ranks, int BatchSize)
{
    /// <summary>Devices that the layout occupies: D x P x M.</summary>
    public int DeviceCount => Replicas * Stages * Ranks;

    public override string ToString() => $"({Replicas},{Stages},{Ranks})";
}

/// <summary>A complete layout: degrees, the layers of each stage, and which device sits on which position.</summary>
/// <param name="Degrees">D, P, M and B.</param>
/// <param name="StageLayers">D x P ranges, replica-major: the layers of stage p of replica d are at [d * P +
/// p].</param>
/// <param name="Placement">D x P x M devices, in the order of <see cref="IndexOf"/>.</param>
public sealed record Layout(
    LayoutDegrees Degrees,
    ImmutableArray<LayerRange> StageLayers,
    ImmutableArray<DeviceId> Placement) : IPlacement
{
    /// <summary>Flat index of a position, replica-major, then stage, then rank.</summary>
    public int IndexOf(Position position) =>
        (((position.Replica * Degrees.Stages) + position.Stage) * Degrees.Ranks) + position.Rank;

    public Position PositionAt(int index) => new(
        index / (Degrees.Stages * Degrees.Ranks),
        index / Degrees.Ranks % Degrees.Stages,
        index % Degrees.Ranks);

    public DeviceId DeviceAt(Position position) => Placement[IndexOf(position)];

    /// <summary>Whether each position has the same layers on the same device.</summary>
    public bool IsSameAs(Layout other) => Degrees == other.Degrees
        && StageLayers.SequenceEqual(other.StageLayers) && Placement.SequenceEqual(other.Placement);

    /// <summary>Whether a device of this node has a position.</summary>
    public bool Uses(string node) => Placement.Any(device => device.Node == node);

    /// <summary>Whether the ranks of a position's stage are on several nodes.</summary>
    public bool Spans(Position position)
    {
        var first = IndexOf(position with { Rank = 0 });
        for (var rank = 1; rank < Degrees.Ranks; rank++)
        {
            if (Placement[first + rank].Node != Placement[first].Node) return true;
        }

        return false;
    }

    /// <summary>The position of a device that has one.</summary>
    public Position PositionOf(DeviceId device) => PositionAt(Placement.IndexOf(device));

    public LayerRange LayersOf(Position position) =>
        StageLayers[(position.Replica * Degrees.Stages) + position.Stage];

    public IEnumerable<Position> Positions => Enumerable.Range(0, Degrees.DeviceCount).Select(PositionAt);

    /// <summary>A replica's positions, stage after stage.</summary>
    public IEnumerable<Position> PositionsOf(int replica)
    {
        var size = Degrees.Stages * Degrees.Ranks;
        return Enumerable.Range(replica * size, size).Select(PositionAt);
    }

    /// <summary>Cuts the layers into stages as equal as can be; the first stages get the odd ones.</summary>
    public static ImmutableArray<LayerRange> EvenStages(int layerCount, int replicas, int stages)
    {
        Invariant.Holds(stages >= 1 && stages <= layerCount);
        var one = Enumerable.Range(0, stages).Select(p => new LayerRange(Boundary(p), Boundary(p + 1))).ToArray();
        return [.. Enumerable.Range(0, replicas).SelectMany(_ => one)];

        int Boundary(int p) => (p * (layerCount / stages)) + Math.Min(p, layerCount % stages);
    }
}
