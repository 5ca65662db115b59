using System.Net.Http.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>
/// A node under notice hands its stage to a spare one over a slow link, and one of the two is killed when a part of it
/// is over: streams go on to the text of an undisturbed run. Needs root; skipped elsewhere.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class TransferKillTests(ITestOutputHelper output)
{
    private const int Streams = 16;
    private const int GraceSeconds = 60;

    /// <summary>The 9 MB of a stage's weights take six seconds or more.</summary>
    private const double SlowForWeights = 12e6;

    /// <summary>So do the pages of <see cref="TokensBefore"/>: 5 MB.</summary>
    private const double SlowForPages = 4e6;

    /// <summary>Of each stream, when the notice comes: three pages or more, far from its end.</summary>
    private const int TokensBefore = 60;

    /// <summary>Part of the pages that is over when a node is killed. Apart from them the last stage sends only tokens,
    /// a few kilobytes.</summary>
    private const long PageBytesBefore = 256_000;

    private const int AttemptsMax = 24_000;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(10);

    private enum Side
    {
        Source,
        Destination,
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public Task Source_that_is_killed_in_the_middle_of_its_weights_costs_no_token() =>
        KillInWeightsAsync(Side.Source);

    [Fact]
    public Task Destination_that_is_killed_in_the_middle_of_its_weights_costs_no_token() =>
        KillInWeightsAsync(Side.Destination);

    [Fact]
    public Task Source_that_is_killed_in_the_middle_of_its_pages_costs_no_token() =>
        KillInPagesAsync(Side.Source);

    [Fact]
    public Task Destination_that_is_killed_in_the_middle_of_its_pages_costs_no_token() =>
        KillInPagesAsync(Side.Destination);

    private async Task KillInWeightsAsync(Side killed)
    {
        await using var cluster = await StartAsync("1,2,1");
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);
        var modelBytes = (await ReconfigurationLine.AllAsync(cluster.Http)).Single().WeightsFromDisk;
        var pair = FindPair(cluster);
        cluster.Lab.LimitBandwidth(pair.Source.Host, SlowForWeights);

        SeedProcess.Signal(pair.Source.Process.Id, "TERM");
        await UntilAsync("some weights to come from a peer", async () =>
            (await ReconfigurationLine.AllAsync(cluster.Http)).Last() is { Epoch: > 1, WeightsFromPeers: > 0 });
        var cut = await KillAsync(cluster, load, pair, killed);

        Assert.True(cut.WeightsFromPeers > 0, cut.ToString());
        Assert.True(cut.WeightsReused + cut.WeightsFromPeers + cut.WeightsFromDisk < modelBytes, cut.ToString());
    }

    private async Task KillInPagesAsync(Side killed)
    {
        // Whoever has been a replica of its own and is spare now keeps all weights: only pages have to come.
        await using var cluster = await StartAsync("3,1,1");
        using (var answer = await cluster.Http.PostAsJsonAsync("/admin/layout", new { layout = "1,2,1" }, Cancel))
        {
            answer.EnsureSuccessStatusCode();
        }

        await ReconfigurationLine.UntilServingAsync(cluster.Http, "(1,2,1)", cluster.WhatWasSaid);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);
        var pair = FindPair(cluster);
        cluster.Lab.LimitBandwidth(pair.Source.Host, SlowForPages);
        await UntilAsync("pieces", () => Task.FromResult(load.Pieces >= Streams * TokensBefore));
        using var log = PlannerLog.Follow(cluster.Seed);

        SeedProcess.Signal(pair.Source.Process.Id, "TERM");
        await log.SaysAsync("PreCopying: pages go to ");
        var sent = cluster.Lab.SentBy(pair.Source.Host);
        await UntilAsync("pages", () => Task.FromResult(
            cluster.Lab.SentBy(pair.Source.Host) - sent >= PageBytesBefore));
        var cut = await KillAsync(cluster, load, pair, killed);

        Assert.Equal(0, cut.WeightsFromPeers);
    }

    private static Task<NetworkCluster> StartAsync(string layout) => NetworkCluster.StartAsync(
        3,
        ["--layout", layout, "--disk-rate", "0.001"],   // the slowest, so that weights come from peers
        ["--memory", "2", "--grace", $"{GraceSeconds}"]);

    /// <summary>The second of two stages, which nobody else has, and the node that nothing runs on.</summary>
    private static (NetworkNode Source, NetworkNode Destination) FindPair(NetworkCluster cluster)
    {
        var layout = ToldLayout.Newest(cluster.Seed);
        return (
            cluster.Nodes.Single(node => layout.PositionOf(node.Process) == "0,1,0"),
            cluster.Nodes.Single(node => layout.PositionOf(node.Process) is null));
    }

    /// <summary>Kills one of the two, and waits until what is left serves and all streams have come to their
    /// end.</summary>
    /// <returns>The change that was cut short.</returns>
    private async Task<ReconfigurationLine> KillAsync(
        NetworkCluster cluster, RunningLoad load, (NetworkNode Source, NetworkNode Destination) pair, Side killed)
    {
        (killed == Side.Source ? pair.Source : pair.Destination).Process.Kill();
        var killedAt = TimeProvider.System.GetUtcNow();
        cluster.Lab.Unlimit(pair.Source.Host);   // nothing is to be learnt from waiting longer
        // Without the destination only the first stage's node stays.
        var left = killed == Side.Source ? "(1,2,1)" : "(1,1,1)";
        var next = await ReconfigurationLine.UntilServingAsync(cluster.Http, left, cluster.WhatWasSaid, killedAt);

        output.WriteLine((await load.EndAsync()).ToString());
        var lines = await ReconfigurationLine.AllAsync(cluster.Http);
        foreach (var line in lines) output.WriteLine($"{line}; {string.Join<object>(", ", line.Phases)}");
        var cut = lines.Last(line => line.StartedAt < killedAt);
        Assert.Equal("PreCopying", cut.PhaseAt(killedAt));
        Assert.StartsWith("given up", cut.Outcome, StringComparison.Ordinal);
        if (killed == Side.Source) return cut;
        // What served needs no destination: it goes on until the next change takes its pages.
        Assert.Equal("(1,2,1)", next.From);
        Assert.True(next is { Sequences: > 0, TokensRecomputed: 0 }, next.ToString());
        return cut;
    }

    private static async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        using var timer = new PeriodicTimer(Period);
        for (var attempt = 0; !await condition(); attempt++)
        {
            if (attempt == AttemptsMax) Assert.Fail($"waited for {what}");
            await timer.WaitForNextTickAsync(Cancel);
        }
    }
}
