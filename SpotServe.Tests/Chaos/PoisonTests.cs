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

    [Theory]
    [InlineData("1,2,2")]
    [InlineData("2,1,2")]
    public async Task Poison_ends_itself_alone_and_changes_no_epoch(string layout)
    {
        await using var cluster = await HandMadeCluster.StartAsync(
            nodes: 4, layout, graceSeconds: 5, PoisonedStories.Write());
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
