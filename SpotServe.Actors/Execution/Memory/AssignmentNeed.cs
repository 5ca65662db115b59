using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>What an assignment needs in memory.</summary>
public static class AssignmentNeed
{
    /// <summary>Slices of weights.</summary>
    /// <exception cref="RankCountException">The ranks do not divide the model's heads.</exception>
    public static IEnumerable<WeightSlice> Need(this SliceGeometry geometry, StageAssignment assignment)
    {
        geometry.RequireRanks(assignment.RankCount);
        return geometry.Need(new PositionNeed(
            assignment.Layers, assignment.Position.Rank, assignment.RankCount, assignment.IsFirst,
            assignment.IsLast));
    }
}
