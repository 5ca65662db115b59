using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>How the mapper may use its freedom.</summary>
public enum MappingLevels
{
    /// <summary>Every device for itself: the most bytes reused, tensor groups may end up spread over
    /// machines.</summary>
    One,

    /// <summary>Whole machines to groups of positions, then devices within: tensor groups stay together.</summary>
    Two,
}

/// <summary>What the mapper is to solve.</summary>
/// <param name="StageLayers">D x P ranges of the new layout.</param>
/// <param name="StageKinds">D x P device kinds that the stages were cut for; empty when all devices are alike.</param>
/// <param name="Instances">Machines that stay.</param>
/// <param name="Holdings">What their devices hold; a device without an entry is empty. Others are ignored.</param>
/// <param name="Inherited">Which new replica goes on with which old replica's requests.</param>
/// <param name="Current">The layout that serves now, if one does: equal choices prefer its positions.</param>
internal sealed record MappingProblem(
    SliceGeometry Geometry,
    LayoutDegrees Degrees,
    ImmutableArray<LayerRange> StageLayers,
    ImmutableArray<string> StageKinds,
    ImmutableArray<Instance> Instances,
    ImmutableArray<Holding> Holdings,
    CacheInheritance Inherited,
    Layout? Current = null);

/// <summary>Where each position goes.</summary>
/// <param name="ReusedBytes">Weights and KV pages that are already where they are needed.</param>
/// <param name="Levels">How it was found: a fleet that no grouping fits is mapped device by device.</param>
public sealed record Mapping(Layout Layout, long ReusedBytes, MappingLevels Levels);
