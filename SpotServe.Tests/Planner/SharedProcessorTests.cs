using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>Nodes of one machine share its processor, and a layout is expected to give no more than that has.</summary>
public sealed class SharedProcessorTests
{
    private static readonly LinkRates Links = new(6e9, 1.25e9, 0.6e9, 0, 3e-5);
    private static readonly SearchOptions Options = new() { BatchSizes = [16], MigrationBufferBytes = 1 << 10 };

    [Fact]
    public void Replicas_beyond_the_cores_of_their_machine_add_no_throughput()
    {
        var crowded = InstancesOf("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1");
        var apart = InstancesOf("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4");

        Assert.Equal(2 * Throughput(crowded, 1), Throughput(crowded, 2), 6);
        Assert.Equal(Throughput(crowded, 2), Throughput(crowded, 4), 6);
        Assert.Equal(4 * Throughput(apart, 1), Throughput(apart, 4), 6);
    }

    [Fact]
    public void Search_does_not_take_a_load_for_served_that_the_cores_cannot_carry()
    {
        var crowded = InstancesOf("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1");
        var one = Throughput(crowded, 1);

        Assert.False(Search().Run(crowded, new Workload(one * 1.5, 64, 64)).IsOverloaded);
        Assert.True(Search().Run(crowded, new Workload(one * 2.5, 64, 64)).IsOverloaded);
    }

    /// <summary>A replica that may run sixteen sequences runs one while one is there.</summary>
    [Fact]
    public void Latency_at_a_low_load_is_that_of_a_request_that_is_alone()
    {
        var apart = InstancesOf("10.0.0.1");
        var load = new Workload(0.001, 64, 64);
        var alone = new RooflineCostModel(new SliceGeometry(TestModels.Small), Links).Cost(
            ReplicaShape.Even(TestModels.Small.LayerCount, 1, 1, apart[0].Kind), 1, load, Batching.Continuous);

        var expected = Search().Evaluate(apart, load, new LayoutDegrees(1, 1, 1, 16))!;

        Assert.Equal(alone.Execution(64), expected.ExecutionSeconds, 9);
    }

    private static double Throughput(ImmutableArray<Instance> instances, int replicas) =>
        Search().Evaluate(instances, new Workload(1, 64, 64), new LayoutDegrees(replicas, 1, 1, 16))!.Throughput;

    private static LayoutSearch Search() => new(
        new SliceGeometry(TestModels.Small),
        new RooflineCostModel(new SliceGeometry(TestModels.Small), Links), Options with { RankCounts = [1] });

    /// <summary>Nodes with one of two cores each, at these addresses.</summary>
    private static ImmutableArray<Instance> InstancesOf(params string[] hosts) =>
    [
        .. DeviceKinds.InstancesOf([.. hosts.Select((host, i) => new NodeInfo(
            $"n{i}:1#1", $"{host}:{i}", [new DeviceInfo(0, "cpu", 1L << 30) { ProcessorShare = 0.5 }]))]),
    ];
}
