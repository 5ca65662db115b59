using System.Diagnostics;
using System.Text.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos.Network;

/// <summary>
/// A node goes whose link is too slow for what it holds: whatever does not come over in time is computed or read anew,
/// and no request is lost. Needs root; skipped elsewhere.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class SlowLinkTests(ITestOutputHelper output)
{
    private const int Streams = 16;

    private const int AttemptsMax = 24_000;

    /// <summary>Its 5 MB of weights take some seconds.</summary>
    private const double SlowBitsPerSecond = 12e6;

    /// <summary>Its weights would take most of a minute, and its pages ten seconds.</summary>
    private const double VerySlowBitsPerSecond = 1e6;

    /// <summary>A node is gone at its deadline; a busy machine may show it later.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(10);

    /// <summary>One cluster for both: starting one takes longer than a node takes to go.</summary>
    [Fact]
    public async Task No_request_is_lost_when_the_grace_is_too_short_for_pages_nor_when_it_is_for_weights()
    {
        await using var cluster = await NetworkCluster.StartAsync(
            4,
            ["--layout", "1,3,1", "--disk-rate", "0.001"],   // the slowest, so that weights come from peers
            ["--memory", "2", "--grace", "12"],
            spareHosts: 1);
        await PagesAreGivenUpAndWeightsComeOverAsync(cluster);
        cluster.AddNode();
        await UntilNodesAsync(cluster, 4);
        await EvenWeightsDoNotComeOverAsync(cluster);
    }

    private async Task PagesAreGivenUpAndWeightsComeOverAsync(NetworkCluster cluster)
    {
        // How long weights take depends on the machine, so the link gets slower when they are over.
        var lines = await TakeAwayAsync(cluster, cluster.Nodes[1], SlowBitsPerSecond, graceSeconds: 12, async leaving =>
        {
            SeedProcess.Signal(leaving.Process.Id, "TERM");
            await UntilPagesGoAsync(cluster.Http);
            cluster.Lab.LimitBandwidth(leaving.Host, VerySlowBitsPerSecond);
        });

        Assert.StartsWith("node", lines[0].Cause, StringComparison.Ordinal);
        Assert.True(lines[0].WeightsFromPeers > lines.Sum(line => line.WeightsFromDisk), lines[0].ToString());
        // Where even the old replica's last step does not come over in time, the new one is given up with its pages,
        // and the layout is made once more from the weights that did.
        Assert.True(lines[0].TokensRecomputed > 0 || !lines[0].IsServing, lines[0].ToString());
    }

    private async Task EvenWeightsDoNotComeOverAsync(NetworkCluster cluster) => await TakeAwayAsync(
        cluster, cluster.Nodes[2], VerySlowBitsPerSecond, graceSeconds: 4, async leaving =>
        {
            var node = (await NodesAsync(cluster)).Single(
                id => id.StartsWith($"{leaving.Process.ClusterAddress}#", StringComparison.Ordinal));
            using var answer = await cluster.Http.PostAsync(
                $"/admin/nodes/{Uri.EscapeDataString(node)}/preempt?seconds=4", null,
                TestContext.Current.CancellationToken);
            answer.EnsureSuccessStatusCode();
        });

    /// <summary>Gives notice to the one node with a slow link; a spare one takes its place.</summary>
    /// <returns>The changes from the notice on.</returns>
    private async Task<ReconfigurationLine[]> TakeAwayAsync(
        NetworkCluster cluster, NetworkNode leaving, double bitsPerSecond, int graceSeconds,
        Func<NetworkNode, Task> notice)
    {
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);
        var before = (await ReconfigurationLine.AllAsync(cluster.Http)).Length;

        cluster.Lab.LimitBandwidth(leaving.Host, bitsPerSecond);
        await notice(leaving);

        Assert.Equal(0, await leaving.Process.ExitCodeAsync(TimeSpan.FromSeconds(graceSeconds) + Slack));
        await ReconfigurationLine.UntilServingAsync(cluster.Http, "(1,3,1)", cluster.WhatWasSaid);

        output.WriteLine((await load.EndAsync()).ToString());
        var lines = await ReconfigurationLine.AllAsync(cluster.Http);
        foreach (var line in lines) output.WriteLine(line.ToString());
        return lines[before..];
    }

    /// <summary>The cluster's names of the nodes that have no notice.</summary>
    private static async Task<string[]> NodesAsync(NetworkCluster cluster)
    {
        using var fleet = JsonDocument.Parse(
            await cluster.Http.GetStringAsync("/admin/fleet", TestContext.Current.CancellationToken));
        return
        [
            .. fleet.RootElement.GetProperty("nodes").EnumerateArray()
                .Where(node => node.GetProperty("leaves_at").ValueKind == JsonValueKind.Null)
                .Select(node => node.GetProperty("node").GetString()!),
        ];
    }

    private static async Task UntilNodesAsync(NetworkCluster cluster, int count)
    {
        using var timer = new PeriodicTimer(10 * Period);
        for (var since = Stopwatch.GetTimestamp(); (await NodesAsync(cluster)).Length < count;)
        {
            if (Stopwatch.GetElapsedTime(since) > Waits.Max)
                Assert.Fail($"waited for {count} nodes:\n{cluster.WhatWasSaid()}");
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }
    }

    private static async Task UntilPagesGoAsync(HttpClient http)
    {
        using var timer = new PeriodicTimer(Period);
        var answer = "";
        for (var attempt = 0; attempt < AttemptsMax; attempt++)
        {
            // Of a control node that is not ready as well: it says why.
            using var response = await http.GetAsync("/ready", TestContext.Current.CancellationToken);
            answer = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            if (answer.Contains("pages go to", StringComparison.Ordinal)) return;
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }

        Assert.Fail($"waited for pages to go: {answer}");
    }
}
