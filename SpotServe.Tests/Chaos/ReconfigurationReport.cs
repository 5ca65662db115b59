using System.Globalization;
using System.Net.Http.Json;
using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// Measures what a stream sees of a change: the longest gap between two pieces in the same cluster without and with the
/// event. Explicit: the figures in docs/performance.md come from here.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ReconfigurationReport(ITestOutputHelper output)
{
    private const int Streams = 32;
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(12);

    /// <summary>How long gaps are looked at beside poison: SPOTSERVE_POISON_SECONDS.</summary>
    private static readonly TimeSpan Poisoned = TimeSpan.FromSeconds(
        int.TryParse(Environment.GetEnvironmentVariable("SPOTSERVE_POISON_SECONDS"), out var seconds) ? seconds : 60);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory(Explicit = true)]
    [InlineData("1,4,1", "notice", "(1,3,1)")]
    [InlineData("1,4,1", "1,2,2", "(1,2,2)")]
    [InlineData("1,1,4", "1,2,2", "(1,2,2)")]
    [InlineData("1,2,2", "2,1,2", "(2,1,2)")]
    [InlineData("2,2,1", "notice", "(1,3,1)")]
    [InlineData("1,4,1", "kill 0", "(1,3,1)")]
    [InlineData("1,4,1", "kill 1", "(1,3,1)")]
    [InlineData("1,4,1", "kill 2", "(1,3,1)")]
    [InlineData("1,4,1", "kill 3", "(1,3,1)")]
    [InlineData("1,2,2", "kill 0", "(1,3,1)")]
    [InlineData("2,2,1", "kill 0", "(1,3,1)")]
    [InlineData("1,2,2", "hang", "(1,3,1)")]
    [InlineData("1,4,1", "kill two", "(1,2,1)")]
    public async Task Longest_gap_of_a_stream_with_and_without_an_event(string layout, string what, string to)
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--fleet", "none", "--nodes", "4", "--layout", layout);
        await using var _ = seed;
        using var __ = http;
        await CompareAsync(http, $"{layout} {what}", () => DoAsync(seed, http, what), to);
    }

    [Fact(Explicit = true)]
    public async Task Longest_gap_of_a_stream_with_and_without_a_node_that_joins()
    {
        await using var cluster = await HandMadeCluster.StartAsync(nodes: 3, layout: null, graceSeconds: 30);
        await CompareAsync(
            cluster.Http,
            "1,3,1 join",
            () =>
            {
                cluster.Add();
                return Task.CompletedTask;
            },
            "(1,2,2)");
    }

    /// <summary>Nothing happens to the nodes: what honest streams see of a client that does all that it should not. It
    /// also computes, so a part of the difference is the load that it is.</summary>
    [Fact(Explicit = true)]
    public async Task Gaps_of_honest_streams_with_and_without_a_client_that_sends_poison()
    {
        await using var cluster = await HandMadeCluster.StartAsync(
            4, layout: null, graceSeconds: 30, PoisonedStories.Write());
        await MeasureAsync(cluster.Http, () => Task.CompletedTask);
        var without = await MeasureAsync(cluster.Http, () => Task.CompletedTask, Poisoned);
        using var enough = new CancellationTokenSource();
        var poison = new PoisonClient(cluster.Http, PoisonedStories.Token, contextMax: 1024, new Random(1));
        var poisoning = poison.RunAsync(enough.Token);
        var with = await MeasureAsync(cluster.Http, () => Task.CompletedTask, Poisoned);
        await enough.CancelAsync();
        await poisoning;

        output.WriteLine($"without: {without}");
        output.WriteLine($"beside poison ({poison.Summary}): {with}");
        Assert.Empty(poison.Wrong);
        Assert.Empty((await ReconfigurationLine.AllAsync(cluster.Http)).Skip(1).Select(line => line.ToString()));
    }

    private async Task CompareAsync(HttpClient http, string name, Func<Task> disturb, string to)
    {
        await MeasureAsync(http, () => Task.CompletedTask);   // compiles the way of a token
        var without = await MeasureAsync(http, () => Task.CompletedTask);
        var line = "";
        var with = await MeasureAsync(http, async () =>
        {
            await disturb();
            line = (await ReconfigurationLine.UntilServingAsync(http, to)).ToString();
        });

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name}: longest gap {without.Max * 1000:0} ms without, {with.Max * 1000:0} ms with, "
            + $"difference {(with.Max - without.Max) * 1000:0} ms; p99 {with.P99 * 1000:0} ms; {line}"));
    }

    private static async Task<GapSummary> MeasureAsync(HttpClient http, Func<Task> disturb, TimeSpan? time = null)
    {
        using var enough = new CancellationTokenSource();
        var load = new StreamLoad(http, GoldenStories.Load());
        var underway = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var streams = load.RunAsync(Streams, int.MaxValue, enough.Token, underway);
        await underway.Task.WaitAsync(TimeSpan.FromMinutes(1), Cancel);
        await disturb();
        using var timer = new PeriodicTimer(time ?? Quiet / 2);
        await timer.WaitForNextTickAsync(Cancel);
        await enough.CancelAsync();
        await streams;
        Assert.Empty(load.Wrong);
        return load.Gaps();
    }

    private static async Task DoAsync(SeedProcess seed, HttpClient http, string what)
    {
        var nodes = seed.NodeIds();
        switch (what)
        {
            case "notice":
                SeedProcess.Signal(nodes[0], "TERM");
                break;
            case "kill 0" or "kill 1" or "kill 2" or "kill 3":
                SeedProcess.Signal(nodes[what[^1] - '0'], "KILL");
                break;
            case "kill two":
                SeedProcess.Signal(nodes[0], "KILL");
                SeedProcess.Signal(nodes[2], "KILL");
                break;
            case "hang":
                SeedProcess.Signal(nodes[0], "STOP");
                break;
            default:
                using (var answer = await http.PostAsJsonAsync("/admin/layout", new { layout = what }, Cancel))
                {
                    answer.EnsureSuccessStatusCode();
                }

                break;
        }
    }
}
