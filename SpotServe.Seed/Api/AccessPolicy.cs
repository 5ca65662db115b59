using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace SpotServe.Seed.Api;

/// <summary>Who may ask what. The same for every path.</summary>
public sealed record AccessOptions
{
    /// <summary>
    /// True when the server listens on a loopback address: then only names of this machine are answered, so that no web
    /// page can reach it by a name of its own that leads here (DNS rebinding).
    /// </summary>
    public bool IsLoopback { get; init; }

    /// <summary>Further names by which clients reach a server that listens on loopback, as behind a proxy.</summary>
    public ImmutableArray<string> Hosts { get; init; } = [];

    /// <summary>Origins of web pages that may use this server, such as "https://chat.example"; "*" is any.</summary>
    public ImmutableArray<string> Origins { get; init; } = [];

    /// <summary>Whose keys generate, read and count tokens here; none asks for no key.</summary>
    public ImmutableArray<ApiKey> Keys { get; init; } = [];

    /// <summary>What an operator must send; null lets those in who ask from this machine.</summary>
    public string? AdminKey { get; init; }
}

/// <summary>Lets a request in, or says why not and what to do about it.</summary>
internal sealed class AccessPolicy(AccessOptions options, OperatorSessions sessions)
{
    public const string AdminPath = "/admin";

    /// <summary>Pages on which an operator sees all of the cluster and gives orders.</summary>
    public const string DashboardPath = "/dashboard";

    /// <summary>What those pages' orders come by.</summary>
    public const string CircuitPath = "/_blazor";

    /// <summary>Where a browser, which sends no key by itself, is asked for it. Open to everybody.</summary>
    public const string LoginPath = "/dashboard-login";

    private const string BearerPrefix = "Bearer ";

    private readonly byte[]? _keyHash = options.AdminKey is { } key ? Hash(key) : null;

    /// <exception cref="ApiException">401 or 403, with the reason.</exception>
    public void Check(HttpContext http)
    {
        CheckHost(http.Request.Host);
        CheckOrigin(http);
        if (IsOperators(http.Request.Path)) CheckAdmin(http);
        else if (IsClients(http.Request.Path)) CheckKey(http);
    }

    private static bool IsClients(PathString path) =>
        path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase)
        || path.StartsWithSegments("/tokenize", StringComparison.OrdinalIgnoreCase)
        || path.StartsWithSegments("/detokenize", StringComparison.OrdinalIgnoreCase);

    private static bool IsOperators(PathString path) =>
        path.StartsWithSegments(AdminPath, StringComparison.OrdinalIgnoreCase)
        || path.StartsWithSegments(DashboardPath, StringComparison.OrdinalIgnoreCase)
        || path.StartsWithSegments(CircuitPath, StringComparison.OrdinalIgnoreCase);

    private void CheckHost(HostString host)
    {
        // Browsers always send one; a client that sends none is no browser.
        if (!options.IsLoopback || !host.HasValue || IsOfThisMachine(host.Host)) return;
        if (options.Hosts.Contains(host.Host, StringComparer.OrdinalIgnoreCase)) return;
        throw new ApiException(
            HttpStatusCode.Forbidden,
            $"This server listens on loopback and is not reached by the name {RequestFields.Shorten(host.Host)}. " +
            "Use localhost or 127.0.0.1, or start the seed with --allow-host NAME.",
            code: "host_refused");
    }

    private static bool IsOfThisMachine(string name) =>
        name.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || name.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(name.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    /// <summary>Browsers send an Origin with whatever a page of another site asks.</summary>
    private void CheckOrigin(HttpContext http)
    {
        var origin = http.Request.Headers.Origin.ToString();
        if (origin.Length == 0) return;
        if (options.Origins.Contains("*") || options.Origins.Contains(origin, StringComparer.OrdinalIgnoreCase))
        {
            AllowOrigin(http, origin);
            return;
        }

        if (Uri.TryCreate(origin, UriKind.Absolute, out var from)
            && Uri.TryCreate($"{from.Scheme}://{http.Request.Host.Value}", UriKind.Absolute, out var here)
            && from.Authority.Equals(here.Authority, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        throw new ApiException(
            HttpStatusCode.Forbidden,
            $"Web pages of {RequestFields.Shorten(origin)} may not use this server. " +
            "If they shall, start the seed with --allow-origin ORIGIN.",
            code: "origin_refused");
    }

    private static void AllowOrigin(HttpContext http, string origin)
    {
        var headers = http.Response.Headers;
        headers.AccessControlAllowOrigin = origin;
        headers.Vary = "Origin";
        headers.AccessControlExposeHeaders =
            $"{CompletionEndpoints.IdHeader}, {CompletionEndpoints.IgnoredHeader}, Retry-After";
        if (!HttpMethods.IsOptions(http.Request.Method)) return;
        headers.AccessControlAllowMethods = "GET, HEAD, POST, DELETE, OPTIONS";
        headers.AccessControlAllowHeaders =
            $"Content-Type, Authorization, Last-Event-ID, {CompletionEndpoints.DetachHeader}, " +
            CompletionEndpoints.TimeoutHeader;
    }

    private void CheckAdmin(HttpContext http)
    {
        if (_keyHash is null)
        {
            if (IsLocal(http.Connection)) return;
            throw new ApiException(
                HttpStatusCode.Forbidden,
                "Operators are answered on the server's own machine only. To allow others, start the seed with " +
                "--admin-key-file FILE and send the key as \"Authorization: Bearer KEY\".",
                code: "admin_local_only");
        }

        if (SentKey(http) is { } sent && IsKey(sent)) return;

        // A session is for the pages alone: /admin, whose orders a form can send, knows the key only.
        var isPage = !http.Request.Path.StartsWithSegments(AdminPath, StringComparison.OrdinalIgnoreCase);
        if (isPage && sessions.Has(http)) return;
        http.Response.Headers.WWWAuthenticate = "Bearer";
        throw new ApiException(
            HttpStatusCode.Unauthorized,
            "Operators send the seed's admin key as \"Authorization: Bearer KEY\".",
            code: "invalid_admin_key")
        {
            LoginPage = isPage && HttpMethods.IsGet(http.Request.Method) && AcceptsPages(http) ? LoginPath : null,
        };
    }

    /// <summary>A browser asks first, without a key, whether it may ask at all: that tells it nothing.</summary>
    private void CheckKey(HttpContext http)
    {
        if (options.Keys.IsEmpty || HttpMethods.IsOptions(http.Request.Method)) return;
        if (SentKey(http) is { } sent && ApiKeys.Find(options.Keys, sent) is { } key)
        {
            http.Features.Set(ApiClient.OfKey(key));
            return;
        }

        http.Response.Headers.WWWAuthenticate = "Bearer";
        throw new ApiException(
            HttpStatusCode.Unauthorized,
            "This server asks for an API key: send one of its clients' as \"Authorization: Bearer KEY\".",
            code: "invalid_api_key");
    }

    private static string? SentKey(HttpContext http)
    {
        var sent = http.Request.Headers.Authorization.ToString();
        return sent.StartsWith(BearerPrefix, StringComparison.OrdinalIgnoreCase)
            ? sent[BearerPrefix.Length..].Trim()
            : null;
    }

    /// <summary>Whether this is the admin key; never, where there is none.</summary>
    public bool IsKey(string sent) =>
        _keyHash is not null && CryptographicOperations.FixedTimeEquals(Hash(sent.Trim()), _keyHash);

    private static bool AcceptsPages(HttpContext http) =>
        http.Request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase);

    /// <summary>A machine reaches itself by loopback, or by the very address that it listens on.</summary>
    private static bool IsLocal(ConnectionInfo connection) =>
        connection.RemoteIpAddress is { } remote
        && (IPAddress.IsLoopback(remote)
            || (remote.IsIPv4MappedToIPv6 && IPAddress.IsLoopback(remote.MapToIPv4()))
            || remote.Equals(connection.LocalIpAddress));

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
