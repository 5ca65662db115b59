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

    private static readonly string[] NodeFlags = ["--memory", "2"];
    private readonly long _started = Stopwatch.GetTimestamp();

    /// <summary>One cluster for all three: starting one takes as long as what is done to it.</summary>
    [Fact]
    public async Task Streams_go_on_whichever_hosts_cannot_reach_each_other_and_all_come_back_clean()
    {
        await using var cluster = await NetworkCluster.StartAsync(
            4, ["--layout", "1,4,1"], NodeFlags, spareHosts: 1);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);

        await NodeThatNobodyReachesIsPlannedWithoutAndComesBackAsync(cluster);
        await TwoNodesThatCannotReachEachOtherAreNotUsedTogetherAsync(cluster, load);
        await SeedThatNoNodeReachesTakesThemBackAsync(cluster, load);

        var gaps = await load.EndAsync();
        Say(gaps.ToString());
        Assert.True(load.Finished >= 3 * Streams);
        Assert.True(gaps.Max > 10, "no stream was open while the seed was cut off for long");
        await EpochsOnlyGrewAsync(cluster);
    }

    private async Task NodeThatNobodyReachesIsPlannedWithoutAndComesBackAsync(NetworkCluster cluster)
    {
        var cut = cluster.Nodes[1];
        // Short: what it had to say meanwhile, about an epoch that is over, arrives late.
        cluster.Lab.Isolate(cut.Host);
        await ServesAsync(cluster, "(1,3,1)");
        cluster.Lab.Heal();
        await ServesAsync(cluster, "(1,4,1)");

        // Long: the cluster gives it up, and it gives itself up.
        cluster.Lab.Isolate(cut.Host);
        await ServesAsync(cluster, "(1,3,1)");
        Say(await cut.Process.LineAsync(CutOff));
        cluster.Lab.Heal();
        Say(await cut.Process.LineAsync(BackAgain));
        await ServesAsync(cluster, "(1,4,1)");
    }

    /// <summary>A new node can join meanwhile, and takes the place of one of them.</summary>
    private async Task TwoNodesThatCannotReachEachOtherAreNotUsedTogetherAsync(NetworkCluster cluster, RunningLoad load)
    {
        var cutOffs = CutOffs(cluster);
        cluster.Lab.Partition([cluster.Nodes[2].Host], [cluster.Nodes[3].Host]);
        await ServesAsync(cluster, "(1,3,1)");
        // By then both have said of each other that they are unreachable, and it serves on.
        await PauseAsync(TimeSpan.FromSeconds(6));
        cluster.AddNode();
        await ServesAsync(cluster, "(1,4,1)");
        cluster.Lab.Heal();
        await MoreAsync(cluster, () => load.Finished, Streams);
        Assert.Equal(cutOffs, CutOffs(cluster));
    }

    /// <summary>Soon after, it goes on with the nodes as they are; late, they have given themselves up and join
    /// anew.</summary>
    private async Task SeedThatNoNodeReachesTakesThemBackAsync(NetworkCluster cluster, RunningLoad load)
    {
        var cutOffs = CutOffs(cluster);
        cluster.Lab.Isolate(cluster.SeedHost);
        // What is sent again comes through at 3 s: long before anybody is given up, on a busy machine, too.
        await PauseAsync(TimeSpan.FromSeconds(2.5));
        cluster.Lab.Heal();
        await MoreAsync(cluster, () => load.Finished, Streams);
        Assert.Equal(cutOffs, CutOffs(cluster));
        Say("went on after 2.5 s");
        await MoreAsync(cluster, () => load.Pieces, 10 * Streams);   // streams are in the middle, not between two

        var before = cluster.Nodes.ToDictionary(node => node, node => node.Process.LineCount);
        cluster.Lab.Isolate(cluster.SeedHost);
        foreach (var (node, mark) in before) Say(await node.Process.LineAsync(CutOff, mark));

        cluster.Lab.Heal();
        foreach (var (node, mark) in before) Say(await node.Process.LineAsync(BackAgain, mark));
        await MoreAsync(cluster, () => load.Finished, Streams);
    }

    /// <summary>How often a node has given itself up.</summary>
    private static int CutOffs(NetworkCluster cluster) => cluster.Nodes.Sum(node =>
        node.Process.Output.Split('\n').Count(line => line.Contains(CutOff, StringComparison.Ordinal)));

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

    /// <summary>Waits until a count has grown by so many.</summary>
    private static async Task MoreAsync(NetworkCluster cluster, Func<int> count, int more)
    {
        var wanted = count() + more;
        for (var since = Stopwatch.GetTimestamp(); count() < wanted;)
        {
            if (Stopwatch.GetElapsedTime(since) > Waits.Max)
                Assert.Fail($"{count()} of {wanted}:\n{cluster.WhatWasSaid()}");
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
