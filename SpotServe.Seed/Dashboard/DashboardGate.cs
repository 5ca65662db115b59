using System.Net;
using SpotServe.Seed.Api;

namespace SpotServe.Seed.Dashboard;

/// <summary>
/// What every request of the dashboard passes behind the edge, which has checked name, origin and operator: how many
/// pages are open, and what a browser may do with them.
/// </summary>
internal sealed class DashboardGate
{
    /// <summary>Connections of open pages; beyond it a page stands still and says so.</summary>
    public const int ConnectionsMax = 64;

    private int _connections;

    public async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        if (http.Request.Path.StartsWithSegments(AccessPolicy.DashboardPath))
        {
            var headers = http.Response.Headers;
            headers.ContentSecurityPolicy =
                "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";
            headers.CacheControl = "no-store";
        }
        else if (http.Request.Path.StartsWithSegments(AccessPolicy.CircuitPath))
        {
            await CountedAsync(http, next).ConfigureAwait(false);
            return;
        }

        await next(http).ConfigureAwait(false);
    }

    private async Task CountedAsync(HttpContext http, RequestDelegate next)
    {
        if (Interlocked.Increment(ref _connections) > ConnectionsMax)
        {
            Interlocked.Decrement(ref _connections);
            throw new ApiException(
                HttpStatusCode.ServiceUnavailable,
                $"{ConnectionsMax} dashboards are open, which is the limit. Close one of them.",
                code: "too_many_dashboards");
        }

        try
        {
            await next(http).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }
}
