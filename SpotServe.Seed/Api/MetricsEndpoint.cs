using SpotServe.Actors.Metrics;

namespace SpotServe.Seed.Api;

/// <summary>GET /metrics: the whole cluster's, in Prometheus's text format (docs/metrics.md).</summary>
internal sealed class MetricsEndpoint(IClusterMetrics metrics, CompletionModel model)
{
    public async Task GetAsync(HttpContext http)
    {
        http.Response.ContentType = PrometheusText.ContentType;
        if (HttpMethods.IsHead(http.Request.Method)) return;
        await http.Response
            .WriteAsync(PrometheusText.Write(metrics.Read(), model.Name), http.RequestAborted)
            .ConfigureAwait(false);
    }
}
