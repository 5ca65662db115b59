using System.Net.Http.Json;
using System.Text.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Real processes, a client that sends poison all the time, and nothing else that goes wrong.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class PoisonTests(ITestOutputHelper output)
{
    private const int RoundsMin = 2;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>One cluster for both layouts: starting one takes longer than a round of poison.</summary>
    [Fact]
    public async Task Poison_ends_itself_alone_and_changes_no_epoch_on_whichever_layout()
    {
        await using var cluster = await HandMadeCluster.StartAsync(
            nodes: 4, "1,2,2", graceSeconds: 5, PoisonedStories.Write());
        foreach (var layout in (string[])["1,2,2", "2,1,2"])
        {
            using var asked = await cluster.Http.PostAsJsonAsync("/admin/layout", new { layout }, Cancel);
            asked.EnsureSuccessStatusCode();
            await ReconfigurationLine.UntilServingAsync(cluster.Http, $"({layout})", cluster.WhatWasSaid);
            await PoisonAsync(cluster);
        }
    }

    private async Task PoisonAsync(HandMadeCluster cluster)
    {
        using var load = await RunningLoad.StartAsync(cluster.Http, streams: 6, cluster.WhatWasSaid);
        var epochs = await ReconfigurationLine.AllAsync(cluster.Http);
        using var enough = new CancellationTokenSource();
        var poison = new PoisonClient(cluster.Http, PoisonedStories.Token, contextMax: 1024, new Random(5));
        var running = poison.RunAsync(enough.Token);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        using var limit = new CancellationTokenSource(Limit);
        while (poison.Rounds < RoundsMin && poison.Wrong.Count == 0) await timer.WaitForNextTickAsync(limit.Token);
        await enough.CancelAsync();
        await running.WaitAsync(Limit, Cancel);

        var gaps = await load.EndAsync();
        output.WriteLine($"{poison.Summary}; {load.Finished} streams; {gaps}");
        Assert.True(poison.Wrong.Count == 0, $"{string.Join('\n', poison.Wrong)}\n{cluster.WhatWasSaid()}");
        Assert.Equal(epochs.Length, (await ReconfigurationLine.AllAsync(cluster.Http)).Length);
        using var open = await cluster.Http.GetFromJsonAsync<JsonDocument>("/admin/requests", Cancel);
        Assert.Empty(open!.RootElement.GetProperty("requests").EnumerateArray());
        Assert.True(open.RootElement.GetProperty("complete").GetBoolean());
    }
}
