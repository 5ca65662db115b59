using SpotServe.Actors.Execution;
using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Bench;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Ranks of one process, as the benchmarks and checks of several GPUs run them, on the CPU.</summary>
[Collection("Engine")]
public sealed class InProcessReplicaTests : IDisposable
{
    private const int Ranks = 2;
    private const int Steps = 12;
    private static readonly BenchShape Shape = BenchShape.Named("tiny");

    private readonly TorchEngines _engines = new(
        Shape.Spec(ElementType.Float32), Shape.Config(), new MadeWeights(), TorchDevices.Open("cpu", null, threads: 1));

    [Fact]
    public async Task Ranks_of_two_nodes_sum_to_the_bits_of_ranks_that_share_memory()
    {
        var apart = Trace(await RankCollectives.OfTwoNodesAsync(stages: 1, Ranks));
        var together = Trace(RankCollectives.InMemory(stages: 1, Ranks));

        Assert.Equal(together.Hashes.Count, apart.Hashes.Count);
        Assert.Equal(0, apart.CountUnequal(together));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rank_that_goes_away_or_abandons_a_step_lets_the_others_go(bool abandons)
    {
        using var replica = Replica(RankCollectives.InMemory(stages: 1, Ranks));
        RanksDrill.Step(replica, step: 1, position: 0);
        var plan = new StepPlan();
        RanksDrill.Plan(plan, step: 2, position: 1);

        var (_, error) = replica.StepWithoutLast(
            plan, TimeSpan.FromMilliseconds(1), abandons ? new StepFailure("the test's", []) : null);

        if (abandons)
        {
            Assert.Equal("the test's", Assert.IsType<StepFailedException>(error).Failure.Reason);
            Assert.NotEqual(0UL, RanksDrill.Step(replica, step: 3, position: 1));
        }
        else
        {
            Assert.IsType<PeerLostException>(error);
        }
    }

    public void Dispose() => _engines.Dispose();

    private DecodeTrace Trace(RankCollectives collectives)
    {
        using var replica = Replica(collectives);
        return DecodeTrace.Run(
            replica, [0, 1, 2], Steps, stagger: 2, Shape.Vocabulary, keptFrom: Steps, pageSeed: 1);
    }

    private InProcessReplica Replica(RankCollectives collectives) => new(
        assignment => _engines.Load(assignment, null, default), Layout.EvenStages(Shape.Layers, 1, 1), Ranks,
        new ReplicaBounds(PageCount: 8 * KvPage.Count(64), StepTokensMax: 8, SequencesMax: 8), collectives);
}
