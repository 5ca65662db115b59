using System.Net;
using SpotServe.Actors.Metrics;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class MetricsEndpointTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Metrics_are_text_that_Prometheus_reads_with_the_models_name()
    {
        var metric = MetricCatalogue.All["vllm:generation_tokens_total"];
        var metrics = new FakeMetrics(new MetricsSnapshot(
            default, [new MetricFamily(metric, [new MetricSeries("", 42, [])])]));
        await using var server = await ApiServer.StartAsync(metrics: metrics);

        using var response = await server.Client.GetAsync("/metrics", Cancel);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.EndsWith(
            $"\nvllm:generation_tokens_total{{model_name=\"{ApiServer.Model}\"}} 42\n",
            await response.Content.ReadAsStringAsync(Cancel),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metrics_obey_the_edge_as_every_path_does()
    {
        await using var server = await ApiServer.StartAsync();
        using var head = new HttpRequestMessage(HttpMethod.Head, "/metrics");
        using var foreign = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        foreign.Headers.Host = "attacker.example";

        using var headers = await server.Client.SendAsync(head, Cancel);
        using var posted = await server.Client.PostAsync("/metrics", null, Cancel);
        using var refused = await server.Client.SendAsync(foreign, Cancel);

        Assert.Equal(HttpStatusCode.OK, headers.StatusCode);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, posted.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
    }

    private sealed class FakeMetrics(MetricsSnapshot snapshot) : IClusterMetrics
    {
        public MetricsSnapshot Read() => snapshot;

        public MetricFamily? Total(string name) => snapshot.Find(name);
    }
}
