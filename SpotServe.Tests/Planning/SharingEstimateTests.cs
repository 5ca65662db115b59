using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>What is known of requests that share a server, in closed form.</summary>
public sealed class SharingEstimateTests
{
    private const double Alone = 0.131;
    private const int Output = 64;
    private static readonly SliceGeometry Small = PlanningScenarios.Small;
    private static readonly DeviceKind Kind = new("kind", 1L << 40, 1e9, 1e9, 0, 1);
    private static readonly SearchOptions Options = new()
    {
        RankCounts = [1],
        BatchSizes = [64],
        StagesMax = 1,
    };

    /// <summary>A processor that is shared: E / (1 - load) (M/G/1 with processor sharing).</summary>
    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.9)]
    public void One_replica_takes_as_long_as_a_shared_processor(double load)
    {
        var met = Evaluated(replicas: 1, load / Alone, variation: 1);

        Assert.Equal(Alone / (1 - load), met.LatencySeconds, 3);
    }

    /// <summary>E / (1 - load squared) (M/M/2): the low load of the table in docs/performance.md.</summary>
    [Fact]
    public void Two_replicas_take_as_long_as_two_servers()
    {
        var met = Evaluated(replicas: 2, 0.5 / Alone, variation: 1);

        Assert.Equal(Alone / (1 - (0.25 * 0.25)), met.LatencySeconds, 6);
    }

    [Fact]
    public void Requests_that_come_evenly_are_alone_while_one_at_a_time_keeps_up()
    {
        Assert.Equal(Alone, Evaluated(replicas: 1, 0.99 / Alone, variation: 0).LatencySeconds, 9);
        Assert.Equal(Alone, Evaluated(replicas: 4, 3.9 / Alone, variation: 0).LatencySeconds, 9);
    }

    [Fact]
    public void Load_that_comes_by_chance_is_given_replicas_that_keep_it_from_sharing_and_an_even_one_is_not()
    {
        Assert.Equal(1, Chosen(variation: 0).Replicas);
        Assert.InRange(Chosen(variation: 1).Replicas, 2, 3);
    }

    /// <summary>One request each at a time: the exact figure of a queue with so many servers.</summary>
    [Theory]
    [InlineData(4, 0.8)]
    [InlineData(16, 0.5)]
    [InlineData(16, 0.9)]
    [InlineData(64, 0.9)]
    [InlineData(200, 0.97)]
    public void Many_replicas_take_about_as_long_as_so_many_servers(int replicas, double load)
    {
        var met = Evaluated(replicas, replicas * load / Alone, variation: 1).LatencySeconds;

        var exact = Alone * (1 + (ErlangC(replicas, replicas * load) / (replicas * (1 - load))));
        Assert.InRange(met, exact * 0.99, exact * 1.02);
    }

    [Fact]
    public void More_than_can_be_served_takes_for_ever()
    {
        Assert.True(double.IsInfinity(Evaluated(replicas: 2, 2.01 / Alone, variation: 1).LatencySeconds));
    }

    /// <summary>Probability that all servers are busy.</summary>
    private static double ErlangC(int servers, double offered)
    {
        var blocked = 1.0;
        for (var k = 1; k <= servers; k++) blocked = offered * blocked / (k + (offered * blocked));
        return blocked / (1 - (offered / servers * (1 - blocked)));
    }

    private static Candidate Evaluated(int replicas, double rate, double variation) =>
        new LayoutSearch(Small, new SharedProcessor(), Options).Evaluate(
            [new Instance("n", Kind, replicas)],
            new Workload(rate, 64, Output, variation),
            new LayoutDegrees(replicas, 1, 1, 64))!;

    private static LayoutDegrees Chosen(double variation) =>
        new LayoutSearch(Small, new SharedProcessor(), Options).Run(
            [.. Enumerable.Range(0, 4).Select(i => new Instance($"n{i}", Kind, 1))],
            new Workload(0.5 / Alone, 64, Output, variation)).Chosen.Degrees;

    /// <summary>All that are there take turns: so many requests take so many times as long.</summary>
    private sealed class SharedProcessor : ICostModel
    {
        public bool Knows(ReplicaShape shape) => true;

        public ReplicaCost Cost(ReplicaShape shape, int batch, Workload load, Batching batching) =>
            new(batch, 0, batch * Alone / load.OutputTokens, 0, 1, 1);
    }
}
