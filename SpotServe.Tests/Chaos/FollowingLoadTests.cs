using SpotServe.Actors.Planning;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Real processes: layouts follow the load and what nodes can do, and no stream notices.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class FollowingLoadTests
{
    private static readonly Dictionary<string, string> Secret =
        new() { ["SPOTSERVE_SECRET"] = "the secret of this cluster" };

    /// <summary>A replica runs four requests, so sixteen are more than it can carry, one is not.</summary>
    [Fact]
    public async Task Load_that_one_replica_cannot_carry_gets_more_replicas_and_a_low_one_gets_one_again()
    {
        if (Environment.ProcessorCount < 2) Assert.Skip("A second replica adds nothing on one core.");
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--nodes", "4", "--objective", "latency", "--sequences-max", "4",
            "--load-window", "5", "--load-memory", "5", "--follow-after", "2", "--follow-rest", "2");
        await using var _ = seed;
        using var __ = http;

        using var low = await RunningLoad.StartAsync(http, 1, () => seed.Output);
        await ReplicasAsync(http, count => count == 1, seed);
        using var high = await RunningLoad.StartAsync(http, 15, () => seed.Output);
        await ReplicasAsync(http, count => count > 1, seed);
        await high.EndStreamsAsync();
        await ReplicasAsync(http, count => count == 1, seed);
        await low.EndAsync();

        Assert.True(low.Finished > 0 && high.Finished >= 15);
    }

    /// <summary>One node is half as fast as the others, one has memory for three layers of eight and a full context:
    /// the stages are cut for them, and serve.</summary>
    [Fact]
    public async Task Node_that_is_slow_and_node_with_little_memory_get_stages_that_suit_them()
    {
        await using var seed = SeedProcess.Begin(
            Secret, "serve", "--port", "0", "--cluster-port", "0", "--nodes", "3", "--layout", "1,3,1");
        var address = (await seed.LineAsync("--seed ")).Split("--seed ")[1].Split(' ')[0];
        await using var usual = Node(address, "0.6", "20,150,20");
        await using var slow = Node(address, "0.6", "10,75,20");
        await using var small = Node(address, "0.2815", "20,150,20");
        using var http = await seed.ReadyAsync();
        using var load = await RunningLoad.StartAsync(http, 4, () => seed.Output);
        await load.EndAsync();

        var inputs = PlanningInputsJson.Read(
            await http.GetStringAsync("/admin/planning-input", TestContext.Current.CancellationToken)).Present!;
        var layout = inputs.Serving!.Layout;
        var stages = inputs.Instances.Select(instance => (
            instance.Kind.WeightBytesPerSecond,
            Memory: instance.DeviceMemoryBytes(),
            Layers: layout.Positions.Where(position => layout.DeviceAt(position).Node == instance.Node)
                .Sum(position => layout.LayersOf(position).Count))).ToList();

        Assert.Equal(8, stages.Sum(stage => stage.Layers));
        Assert.InRange(Assert.Single(stages, stage => stage.WeightBytesPerSecond < 15e9).Layers, 1, 2);
        Assert.InRange(Assert.Single(stages, stage => stage.Memory < 3e8).Layers, 1, 3);
        Assert.True(load.Finished >= 4);
    }

    private static SeedProcess Node(string seed, string gigabytes, string speed) => SeedProcess.BeginNode(
        Secret,
        [
            "--seed", seed, "--model", SeedProcess.BundledModel, "--threads", "1", "--cloud", "none",
            "--memory", gigabytes, "--speed", speed,
        ]);

    private static Task<ReconfigurationLine> ReplicasAsync(
        HttpClient http, Func<int, bool> isRight, SeedProcess seed) =>
        ReconfigurationLine.UntilReplicasAsync(http, isRight, () => seed.Output);
}
