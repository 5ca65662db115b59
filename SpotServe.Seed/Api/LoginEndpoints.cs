namespace SpotServe.Seed.Api;

/// <summary>Where a browser gives the admin key once, for the dashboard. The edge has refused pages of other origins,
/// so nobody's page can log in for its reader.</summary>
internal sealed class LoginEndpoints(AccessPolicy access, OperatorSessions sessions)
{
    private const string KeyField = "key";

    /// <summary>GET /dashboard-login: the form.</summary>
    public static Task GetAsync(HttpContext http) => WriteAsync(http, "");

    /// <summary>POST /dashboard-login: the key, as a form sends it.</summary>
    public async Task PostAsync(HttpContext http)
    {
        var sent = http.Request.HasFormContentType
            ? (await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false))[KeyField].ToString()
            : "";
        if (access.IsKey(sent))
        {
            sessions.Begin(http);
            http.Response.Redirect(AccessPolicy.DashboardPath);
            return;
        }

        http.Response.StatusCode = StatusCodes.Status401Unauthorized;
        await WriteAsync(http, "That is not this seed's admin key.").ConfigureAwait(false);
    }

    private static Task WriteAsync(HttpContext http, string said)
    {
        http.Response.ContentType = "text/html; charset=utf-8";
        http.Response.Headers.ContentSecurityPolicy =
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'";
        http.Response.Headers.CacheControl = "no-store";
        return http.Response.WriteAsync(
            $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
              <meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
              <title>SpotServe: operator</title>
              <link rel="stylesheet" href="/dashboard-assets/dashboard.css">
            </head>
            <body>
              <form class="panel login" method="post" action="{AccessPolicy.LoginPath}">
                <h1>SpotServe</h1>
                <label for="key">The seed's admin key (--admin-key-file)</label>
                <input id="key" name="{KeyField}" type="password" autocomplete="current-password" required autofocus>
                <button class="primary">See the dashboard</button>
                <p class="facts" role="alert">{said}</p>
              </form>
            </body>
            </html>
            """,
            http.RequestAborted);
    }
}
