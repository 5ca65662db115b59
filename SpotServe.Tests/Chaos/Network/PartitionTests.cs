using System.Diagnostics;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>
/// Hosts that cannot reach each other: whichever they are, streams go on to the text of an undisturbed run. Needs root;
/// skipped elsewhere.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class PartitionTests(ITestOutputHelper output)
{
    private const int Streams = 16;
    private const string CutOff = "joins again, because";
    private const string BackAgain = "is a member again";

    /// <summary>Without a control node for 12 s a node gives itself up; the rest is for a slow machine.</summary>
    private static readonly TimeSpan CutOffMax = TimeSpan.FromSeconds(25);

    private static readonly string[] NodeFlags = ["--memory", "2"];
    private readonly long _started = Stopwatch.GetTimestamp();

    [Fact]
    public async Task Node_that_nobody_reaches_is_planned_without_and_comes_back_clean()
    {
        await using var cluster = await NetworkCluster.StartAsync(4, ["--layout", "1,4,1"], NodeFlags);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);
        var cut = cluster.Nodes[1];

        // Short: what it had to say meanwhile, about an epoch that is over, arrives late.
        cluster.Lab.Isolate(cut.Host);
        await ServesAsync(cluster, "(1,3,1)");
        cluster.Lab.Heal();
        await ServesAsync(cluster, "(1,4,1)");

        // Long: the cluster gives it up, and it gives itself up.
        cluster.Lab.Isolate(cut.Host);
        await ServesAsync(cluster, "(1,3,1)");
        Say(await cut.Process.LineAsync(CutOff).WaitAsync(CutOffMax, TestContext.Current.CancellationToken));
        cluster.Lab.Heal();
        Say(await cut.Process.LineAsync(BackAgain));
        await ServesAsync(cluster, "(1,4,1)");

        Say((await load.EndAsync()).ToString());
        Assert.True(load.Finished >= Streams);
        await EpochsOnlyGrewAsync(cluster);
    }

    [Fact]
    public async Task Two_nodes_that_only_cannot_reach_each_other_are_not_used_together_and_a_new_one_can_join()
    {
        await using var cluster = await NetworkCluster.StartAsync(
            4, ["--layout", "1,4,1"], NodeFlags, spareHosts: 1);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);

        cluster.Lab.Partition([cluster.Nodes[1].Host], [cluster.Nodes[2].Host]);
        await ServesAsync(cluster, "(1,3,1)");
        // By then both have said of each other that they are unreachable, and it serves on.
        await PauseAsync(TimeSpan.FromSeconds(6));
        cluster.AddNode();
        await ServesAsync(cluster, "(1,4,1)");
        cluster.Lab.Heal();
        await MoreAsync(cluster, () => load.Finished, Streams);

        Say((await load.EndAsync()).ToString());
        Assert.All(cluster.Nodes, node => Assert.DoesNotContain(CutOff, node.Process.Output, StringComparison.Ordinal));
        await EpochsOnlyGrewAsync(cluster);
    }

    [Fact]
    public async Task Seed_that_no_node_reaches_goes_on_with_them_soon_after_and_takes_them_back_late()
    {
        await using var cluster = await NetworkCluster.StartAsync(3, ["--layout", "1,3,1"], NodeFlags);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);

        cluster.Lab.Isolate(cluster.SeedHost);
        await PauseAsync(TimeSpan.FromSeconds(5));
        cluster.Lab.Heal();
        await MoreAsync(cluster, () => load.Finished, Streams);
        Assert.All(cluster.Nodes, node => Assert.DoesNotContain(CutOff, node.Process.Output, StringComparison.Ordinal));
        Say("went on after 5 s");
        await MoreAsync(cluster, () => load.Pieces, 10 * Streams);   // streams are in the middle, not between two

        cluster.Lab.Isolate(cluster.SeedHost);
        foreach (var node in cluster.Nodes)
        {
            Say(await node.Process.LineAsync(CutOff).WaitAsync(CutOffMax, TestContext.Current.CancellationToken));
        }

        cluster.Lab.Heal();
        foreach (var node in cluster.Nodes) Say(await node.Process.LineAsync(BackAgain));
        await MoreAsync(cluster, () => load.Finished, Streams);

        var gaps = await load.EndAsync();
        Say(gaps.ToString());
        Assert.True(gaps.Max > 10, "no stream was open while the seed was cut off for long");
        await EpochsOnlyGrewAsync(cluster);
    }

    private async Task ServesAsync(NetworkCluster cluster, string degrees)
    {
        var line = await ReconfigurationLine.UntilServingAsync(cluster.Http, degrees, cluster.WhatWasSaid);
        Say(line.ToString());
    }

    private async Task EpochsOnlyGrewAsync(NetworkCluster cluster)
    {
        var lines = await ReconfigurationLine.AllAsync(cluster.Http);
        foreach (var line in lines) output.WriteLine(line.ToString());
        Assert.Equal(lines.Select(line => line.Epoch).Order().Distinct(), lines.Select(line => line.Epoch));
    }

    /// <summary>Waits until a count has grown by so many; fails after a minute.</summary>
    private static async Task MoreAsync(NetworkCluster cluster, Func<int> count, int more)
    {
        const int AttemptsMax = 600;
        var wanted = count() + more;
        for (var attempt = 0; count() < wanted; attempt++)
        {
            if (attempt == AttemptsMax) Assert.Fail($"{count()} of {wanted}:\n{cluster.WhatWasSaid()}");
            await PauseAsync(TimeSpan.FromMilliseconds(100));
        }
    }

    private static async Task PauseAsync(TimeSpan time)
    {
        using var timer = new PeriodicTimer(time);
        await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
    }

    private void Say(string what) =>
        output.WriteLine($"{Stopwatch.GetElapsedTime(_started).TotalSeconds:0.0} s: {what}");
}
