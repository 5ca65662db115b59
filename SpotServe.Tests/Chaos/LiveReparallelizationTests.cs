using System.Net.Http.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>Layouts change under load through real processes: no stream notices, nothing is computed twice.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class LiveReparallelizationTests
{
    private const int Streams = 32;

    [Fact]
    public async Task Streams_go_on_unchanged_through_changes_of_layout_and_a_notice()
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--fleet", "none", "--nodes", "4", "--layout", "1,4,1");
        await using var _ = seed;
        using var __ = http;
        using var enough = new CancellationTokenSource();
        var load = new StreamLoad(http, GoldenStories.Load());
        var underway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var streams = load.RunAsync(Streams, int.MaxValue, enough.Token, underway);
        await underway.Task.WaitAsync(TimeSpan.FromMinutes(5), TestContext.Current.CancellationToken);

        List<ReconfigurationLine> lines = [];
        foreach (var layout in (string[])["2,2,1", "1,2,2", "2,1,2", "1,1,4"])
        {
            using var answer = await http.PostAsJsonAsync(
                "/admin/layout", new { layout }, TestContext.Current.CancellationToken);
            answer.EnsureSuccessStatusCode();
            lines.Add(await ReconfigurationLine.UntilServingAsync(http, $"({layout})"));
        }

        SeedProcess.Signal(seed.NodeIds()[0], "TERM");
        lines.Add(await ReconfigurationLine.UntilServingAsync(http, "(1,3,1)"));
        await enough.CancelAsync();
        await streams;

        Assert.Empty(load.Wrong);
        Assert.True(load.Finished >= Streams);
        Assert.All(lines, line => Assert.True(line.TokensRecomputed == 0 && line.PauseMs is not null, line.ToString()));
        await ReplicaState.UntilAsync(
            http, "all pages free", replicas => replicas.All(replica => replica.IsIdle));
    }
}
