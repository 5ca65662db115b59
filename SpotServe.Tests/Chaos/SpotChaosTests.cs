using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>The one command with --spot-chaos: a cloud that takes machines, and gives new ones.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class SpotChaosTests
{
    private const int Nodes = 3;
    private const int Losses = 2;
    private const int Presses = 10;

    /// <summary>Fewer are not taken from: what is left must be able to serve.</summary>
    private const int NodesLeft = 2;

    private const int AttemptsMax = 2_400;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(100);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Also with all of the data plane in TLS, which the one command hands on to its nodes.</summary>
    [Fact]
    public async Task Nodes_go_with_notice_and_without_new_ones_come_and_every_stream_is_that_of_an_undisturbed_run()
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--nodes", $"{Nodes}", "--spot-chaos", "20", "--data-tls");
        await using var _ = seed;
        using var __ = http;
        using var load = await RunningLoad.StartAsync(http, 8, () => seed.Output);

        for (var loss = 1; loss <= Losses; loss++) await seed.LineAsync($"loss {loss}: ");
        await ReconfigurationLine.UntilServingOnAsync(http, Nodes, () => seed.Output);
        load.AssertNothingWrong();
        await load.EndAsync();

        Assert.DoesNotContain("could not be taken", seed.Output, StringComparison.Ordinal);
        Assert.Contains("is killed.", seed.Output, StringComparison.Ordinal);
        Assert.Contains("goes in 30 s.", seed.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ten_nodes_preempted_killed_and_added_in_turn_break_no_stream_and_the_fleet_is_whole_again()
    {
        var (seed, http) = await SeedProcess.StartAsync("--port", "0", "--nodes", $"{Nodes}");
        await using var _ = seed;
        using var __ = http;
        using var load = await RunningLoad.StartAsync(http, 8, () => seed.Output);
        var size = Nodes;

        for (var press = 0; press < Presses; press++)
        {
            await UntilAsync(http, NodesLeft, () => seed.Output);
            var answer = (press % 3) switch
            {
                0 => await PreemptAsync(http, () => seed.Output),
                1 => Kill(seed),
                _ => await http.PostAsJsonAsync("/admin/fleet", new { machines = ++size }, Cancel),
            };
            Assert.True(answer.IsSuccessStatusCode, $"press {press}: {answer.StatusCode}\n{seed.Output}");
            answer.Dispose();
        }

        await UntilAsync(http, size, () => seed.Output);
        await ReconfigurationLine.UntilServingOnAsync(http, size, () => seed.Output);
        load.AssertNothingWrong();
        await load.EndAsync();
        // A node that had notice ends a little after its work has moved.
        using var timer = new PeriodicTimer(Period);
        for (var attempt = 0; attempt < AttemptsMax && seed.NodeIds().Length != size; attempt++)
            await timer.WaitForNextTickAsync(Cancel);
        Assert.Equal(size, seed.NodeIds().Length);
    }

    /// <summary>Presses preempt on a node that stays. One that was killed a moment ago may still be shown, and be gone
    /// when it is pressed: then the next one is.</summary>
    private static async Task<HttpResponseMessage> PreemptAsync(HttpClient http, Func<string> explain)
    {
        while (true)
        {
            var node = (await UntilAsync(http, NodesLeft, explain))[0];
            var answer = await http.PostAsync($"/admin/nodes/{Uri.EscapeDataString(node)}/preempt", null, Cancel);
            if (answer.StatusCode != HttpStatusCode.NotFound) return answer;
            answer.Dispose();
        }
    }

    private static HttpResponseMessage Kill(SeedProcess seed)
    {
        SeedProcess.Signal(seed.NodeIds()[^1], "KILL");
        return new HttpResponseMessage();
    }

    /// <summary>Waits until so many nodes are there that have no notice; a minute at most.</summary>
    private static async Task<string[]> UntilAsync(HttpClient http, int count, Func<string> explain)
    {
        using var timer = new PeriodicTimer(Period);
        var fleet = "";
        for (var attempt = 0; attempt < AttemptsMax; attempt++)
        {
            fleet = await http.GetStringAsync("/admin/fleet", Cancel);
            using var json = JsonDocument.Parse(fleet);
            string[] staying =
            [
                .. json.RootElement.GetProperty("nodes").EnumerateArray()
                    .Where(node => node.GetProperty("leaves_at").ValueKind == JsonValueKind.Null)
                    .Select(node => node.GetProperty("node").GetString()!),
            ];
            if (staying.Length >= count) return staying;
            await timer.WaitForNextTickAsync(Cancel);
        }

        Assert.Fail($"waited for {count} nodes:\n{fleet}\n{explain()}");
        return [];
    }
}
