using System.Diagnostics;
using SpotServe.Actors.Tracing;

namespace SpotServe.Seed.Api;

/// <summary>Gives each request that clients make of the interface its span, in the client's trace where it sent one
/// (W3C traceparent).</summary>
internal static class RequestTraces
{
    public static async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        if (!http.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase))
        {
            await next(http).ConfigureAwait(false);
            return;
        }

        using var span = Traces.BeginCall(
            $"{http.Request.Method} {http.Request.Path}", http.Request.Headers.TraceParent);
        await next(http).ConfigureAwait(false);
        if (span is null) return;
        span.SetTag("http.request.method", http.Request.Method);
        span.SetTag("url.path", http.Request.Path.Value);
        span.SetTag("http.response.status_code", http.Response.StatusCode);
        if (http.Response.StatusCode >= StatusCodes.Status500InternalServerError)
            span.SetStatus(ActivityStatusCode.Error);
    }
}
