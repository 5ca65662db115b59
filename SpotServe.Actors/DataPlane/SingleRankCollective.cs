using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>A world of one rank: the sum of its values is its values.</summary>
internal sealed class SingleRankCollective : ICollective
{
    public int Rank => 0;

    public int RankCount => 1;

    public void BeginStep(long step)
    {
    }

    public void Abandon(StepFailure failure)
    {
    }

    public void AllReduceSum(Span<float> values)
    {
    }

    public void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all)
    {
        Invariant.Holds(mine.Length == all.Length);
        mine.CopyTo(all);
    }

    public IReadOnlyList<IRankDevice>? Introduce(IRankDevice mine) => [mine];

    public void ThrowIfOver()
    {
    }

    public void Dispose()
    {
    }
}
