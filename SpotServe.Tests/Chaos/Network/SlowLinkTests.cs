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

    private const int AttemptsMax = 2_000;

    /// <summary>Its 5 MB of weights take some seconds.</summary>
    private const double SlowBitsPerSecond = 12e6;

    /// <summary>Its weights would take most of a minute, and its pages ten seconds.</summary>
    private const double VerySlowBitsPerSecond = 1e6;

    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(10);

    [Fact]
    public async Task Weights_come_over_and_pages_are_given_up_when_the_grace_is_too_short_for_both()
    {
        // How long weights take depends on the machine, so the link gets slower when they are over.
        var lines = await TakeAwayAsync(SlowBitsPerSecond, graceSeconds: 12, whenPagesGo: VerySlowBitsPerSecond);

        Assert.StartsWith("node", lines[0].Cause, StringComparison.Ordinal);
        Assert.True(lines[0].WeightsFromPeers > lines.Sum(line => line.WeightsFromDisk), lines[0].ToString());
        // Where even the old replica's last step does not come over in time, the new one is given up with its pages,
        // and the layout is made once more from the weights that did.
        Assert.True(lines[0].TokensRecomputed > 0 || !lines[0].IsServing, lines[0].ToString());
    }

    [Fact]
    public async Task No_request_is_lost_when_the_grace_is_too_short_even_for_the_weights() =>
        await TakeAwayAsync(VerySlowBitsPerSecond, graceSeconds: 4);

    /// <summary>Gives notice to the one node with a slow link; a spare one takes its place.</summary>
    /// <returns>The changes from the notice on.</returns>
    private async Task<ReconfigurationLine[]> TakeAwayAsync(
        double bitsPerSecond, int graceSeconds, double? whenPagesGo = null)
    {
        await using var cluster = await NetworkCluster.StartAsync(
            4,
            ["--layout", "1,3,1", "--disk-rate", "0.001"],   // the slowest, so that weights come from peers
            ["--memory", "2", "--grace", $"{graceSeconds}"]);
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, cluster.WhatWasSaid);
        var leaving = cluster.Nodes[1];

        cluster.Lab.LimitBandwidth(leaving.Host, bitsPerSecond);
        SeedProcess.Signal(leaving.Process.Id, "TERM");
        if (whenPagesGo is { } slower)
        {
            await UntilPagesGoAsync(cluster.Http);
            cluster.Lab.LimitBandwidth(leaving.Host, slower);
        }

        Assert.Equal(0, await leaving.Process.ExitCodeAsync(TimeSpan.FromSeconds(graceSeconds + 5)));
        await ReconfigurationLine.UntilServingAsync(cluster.Http, "(1,3,1)", cluster.WhatWasSaid);

        output.WriteLine((await load.EndAsync()).ToString());
        var lines = await ReconfigurationLine.AllAsync(cluster.Http);
        foreach (var line in lines) output.WriteLine(line.ToString());
        return lines[1..];   // without the first layout
    }

    private static async Task UntilPagesGoAsync(HttpClient http)
    {
        using var timer = new PeriodicTimer(Period);
        var answer = "";
        for (var attempt = 0; attempt < AttemptsMax; attempt++)
        {
            answer = await http.GetStringAsync("/ready", TestContext.Current.CancellationToken);
            if (answer.Contains("pages go to", StringComparison.Ordinal)) return;
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }

        Assert.Fail($"waited for pages to go: {answer}");
    }
}
