using SpotServe.Actors;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using SpotServe.Node.Bench;

namespace SpotServe.Node.Engine.Bench;

/// <summary>How the ranks of a replica's stages, all of this process, sum.</summary>
internal sealed class RankCollectives : IDisposable
{
    private readonly ICollective[][] _byStage;
    private readonly IReadOnlyList<IDisposable> _behind;

    private RankCollectives(ICollective[][] byStage, IReadOnlyList<IDisposable> behind)
    {
        _byStage = byStage;
        _behind = behind;
    }

    /// <summary>Through memory that they share, as the devices of one node do; GPUs that reach each other then sum by
    /// themselves.</summary>
    public static RankCollectives InMemory(int stages, int ranks)
    {
        SharedMemoryGroup[] groups = [.. Enumerable.Range(0, stages).Select(_ => new SharedMemoryGroup(ranks))];
        return new RankCollectives(
            [.. groups.Select(group => Enumerable.Range(0, ranks).Select(ICollective (rank) => group.Join(rank))
                .ToArray())],
            groups);
    }

    /// <summary>Over TCP, as the devices of two nodes do: each has one half of the ranks.</summary>
    public static async Task<RankCollectives> OfTwoNodesAsync(int stages, int ranks)
    {
        Invariant.Holds(ranks >= 2);
        var links = await LoopbackLinks.ConnectAsync(
            stages, ranks, (_, rank) => 2 * rank < ranks ? "first" : "second", CancellationToken.None)
            .ConfigureAwait(false);
        return new RankCollectives(
            [.. links.GroupBy(each => each.Self.Stage).OrderBy(stage => stage.Key)
                .Select(stage => stage.OrderBy(each => each.Self.Rank).Select(each => each.Collective).ToArray())],
            links);
    }

    public IReadOnlyList<ICollective> Of(int stage) => _byStage[stage];

    /// <summary>Lets ranks go that wait for others.</summary>
    public void End()
    {
        foreach (var collective in _byStage.SelectMany(ranks => ranks)) collective.Dispose();
    }

    /// <summary>When no rank uses them any more.</summary>
    public void Dispose()
    {
        foreach (var each in _behind) each.Dispose();
    }
}
