using SpotServe.Actors;
using SpotServe.Actors.Execution;

namespace SpotServe.Node.Engine.Bench;

/// <summary>The ranks of one stage as threads of one process: the plainest collective that is correct.</summary>
internal sealed class InProcessCollective : ICollective
{
    private static readonly TimeSpan WaitMax = TimeSpan.FromMinutes(5);

    private readonly Shared _shared;

    private InProcessCollective(Shared shared, int rank)
    {
        _shared = shared;
        Rank = rank;
    }

    public int Rank { get; }

    public int RankCount => _shared.Blocks.Length;

    public static InProcessCollective[] Create(int rankCount)
    {
        var shared = new Shared(new float[rankCount][], new Barrier(rankCount));
        return [.. Enumerable.Range(0, rankCount).Select(rank => new InProcessCollective(shared, rank))];
    }

    public void AllReduceSum(Span<float> values)
    {
        if (RankCount == 1) return;
        Publish(values);
        Meet();
        _shared.Blocks[0].AsSpan(0, values.Length).CopyTo(values);
        for (var rank = 1; rank < RankCount; rank++)
        {
            var theirs = _shared.Blocks[rank].AsSpan(0, values.Length);
            for (var i = 0; i < theirs.Length; i++) values[i] += theirs[i];
        }

        Meet();
    }

    public void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all)
    {
        Invariant.Holds(all.Length == (Rank == 0 ? mine.Length * RankCount : 0));
        Publish(mine);
        Meet();
        for (var rank = 0; Rank == 0 && rank < RankCount; rank++)
            _shared.Blocks[rank].AsSpan(0, mine.Length).CopyTo(all[(rank * mine.Length)..]);
        Meet();
    }

    public void Dispose()
    {
        if (Rank == 0) _shared.Barrier.Dispose();
    }

    private void Publish(ReadOnlySpan<float> values)
    {
        ref var block = ref _shared.Blocks[Rank];
        if (block is null || block.Length < values.Length) block = new float[values.Length];
        values.CopyTo(block);
    }

    private void Meet()
    {
        if (!_shared.Barrier.SignalAndWait(WaitMax))
            throw new PeerLostException($"a rank beside {Rank}", $"it did not come within {WaitMax}");
    }

    private sealed record Shared(float[][] Blocks, Barrier Barrier);
}
