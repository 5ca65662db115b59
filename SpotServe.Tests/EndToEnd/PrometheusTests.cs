using System.Diagnostics;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>What dashboards for LLM servers ask Prometheus is answered, and agrees with what clients saw.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class PrometheusTests
{
    private const int Streams = 6;
    private const int RoundsMax = 20;
    private const int Tokens = 120;

    [Fact]
    public async Task Queries_of_dashboards_agree_with_what_clients_saw_and_survive_a_kill()
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--fleet", "none", "--nodes", "2", "--layout", "1,2,1");
        await using var ending = seed;
        using var client = http;
        await using var prometheus = await PrometheusServer.StartAsync(http.BaseAddress!);
        // From zero on, so that rates count the first request, too.
        await prometheus.AskUntilAsync("sum(vllm:generation_tokens_total)", value => value == 0);

        var seen = new List<Seen>();
        do
        {
            seen.AddRange(await Task.WhenAll(Enumerable.Range(0, Streams).Select(_ => ReadAsync(http))));
            Assert.True(seen.Count <= RoundsMax * Streams, "no scrape fell into a round");
        }
        while (!(await prometheus.AskAsync("max(max_over_time(vllm:num_requests_running[10m]))") > 0));

        var tokens = seen.Sum(one => one.Count);
        await prometheus.AskUntilAsync("sum(vllm:generation_tokens_total)", value => value == tokens);
        await prometheus.AskUntilAsync("sum(vllm:request_queue_time_seconds_count)", value => value == seen.Count);
        await prometheus.AskUntilAsync("max(vllm:num_requests_running)", value => value == 0);
        await CheckCountsAsync(prometheus, seen.Count);
        await CheckLatenciesAsync(prometheus, seen);

        SeedProcess.Signal(seed.NodeIds()[0], "KILL");
        await prometheus.AskUntilAsync("sum(spotserve_losses_total)", value => value == 1);
        await prometheus.AskUntilAsync("""sum(spotserve_reconfigurations_total{cause="loss"})""", value => value >= 1);
        // Of the control node's own and of what the killed node had counted.
        foreach (var name in (string[])
            ["vllm:generation_tokens_total", "vllm:request_queue_time_seconds_count", "spotserve_step_seconds_count"])
        {
            Assert.Equal(0, await prometheus.AskAsync($"sum(resets({name}[10m]))"));
        }

        // The killed node's gauges go a few seconds after it.
        await prometheus.AskUntilAsync("count(vllm:num_requests_running)", value => value == 1);
    }

    private static async Task CheckCountsAsync(PrometheusServer prometheus, int requests)
    {
        var of = $"{{model_name=\"{Api.ApiServer.Model}\"}}";
        Assert.Equal(requests, await prometheus.AskAsync($"sum(vllm:request_success_total{of})"));
        Assert.Equal(
            requests, await prometheus.AskAsync("""sum(vllm:request_success_total{finished_reason="length"})"""));
        Assert.Equal(requests, await prometheus.AskAsync($"sum(vllm:time_to_first_token_seconds_count{of})"));
        Assert.Equal(requests * (Tokens - 1), await prometheus.AskAsync("sum(vllm:inter_token_latency_seconds_count)"));
        Assert.Equal(requests, await prometheus.AskAsync("""sum(spotserve_requests_total{outcome="accepted"})"""));
        Assert.InRange(
            await prometheus.AskAsync("max(max_over_time(vllm:kv_cache_usage_perc[10m]))") ?? -1, 1e-9, 1);
        Assert.True(await prometheus.AskAsync($"sum(rate(vllm:generation_tokens_total{of}[10m]))") > 0);
        Assert.True(await prometheus.AskAsync($"sum(rate(vllm:prompt_tokens_total{of}[10m]))") > 0);
        Assert.Equal(2, await prometheus.AskAsync("""sum(spotserve_layout_degree{axis="stages"})"""));
        Assert.Equal(2, await prometheus.AskAsync("""sum(spotserve_devices{state="serving"})"""));
    }

    /// <summary>A client's time has the server's within it. It is not much longer, or what was measured is
    /// something else.</summary>
    private static async Task CheckLatenciesAsync(PrometheusServer prometheus, List<Seen> seen)
    {
        await CheckAsync("vllm:time_to_first_token_seconds", seen.Sum(one => one.FirstSeconds), atLeast: 0.2);
        await CheckAsync("vllm:e2e_request_latency_seconds", seen.Sum(one => one.AllSeconds), atLeast: 0.5);
        var between = await prometheus.AskAsync("sum(vllm:inter_token_latency_seconds_sum)") ?? 0;
        Assert.InRange(between / seen.Sum(one => one.AllSeconds - one.FirstSeconds), 0.5, 1.5);
        foreach (var quantile in (string[])["0.5", "0.95", "0.99"])
        {
            foreach (var name in (string[])["time_to_first_token", "inter_token_latency", "e2e_request_latency"])
            {
                var value = await prometheus.AskAsync(
                    $"histogram_quantile({quantile}, sum by (le) (rate(vllm:{name}_seconds_bucket[10m])))");
                // Within a bucket nobody knows more than its ends.
                Assert.InRange(value ?? -1, 0.00001, 2.5 * seen.Max(one => one.AllSeconds));
            }
        }

        async Task CheckAsync(string name, double clients, double atLeast) => Assert.InRange(
            await prometheus.AskAsync($"sum({name}_sum)") ?? -1, atLeast * clients, clients);
    }

    private static async Task<Seen> ReadAsync(HttpClient http)
    {
        var began = Stopwatch.GetTimestamp();
        TimeSpan? first = null;
        await foreach (var piece in Completions.PiecesAsync(http, "Once upon a time", Tokens))
            if (piece.Length > 0) first ??= Stopwatch.GetElapsedTime(began);

        return new Seen(Tokens, first!.Value.TotalSeconds, Stopwatch.GetElapsedTime(began).TotalSeconds);
    }

    /// <summary>One stream as its client saw it.</summary>
    private sealed record Seen(int Count, double FirstSeconds, double AllSeconds);
}
