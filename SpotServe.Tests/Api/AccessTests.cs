using System.Net;
using System.Text;
using SpotServe.Seed.Api;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>Whom the HTTP port answers: names, web pages, operators.</summary>
public sealed class AccessTests
{
    private const string Key = "a key of some length";

    private static readonly (string Method, string Path)[] All =
    [
        ("GET", "/"), ("GET", "/health"), ("GET", "/v1/models"), ("GET", "/v1/requests/cmpl-1"),
        ("POST", "/v1/completions"), ("GET", "/admin/replicas"), ("POST", "/admin/layout"), ("GET", "/nothing"),
        ("OPTIONS", "/v1/completions"), ("GET", "/dashboard"), ("POST", "/_blazor/negotiate"),
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("evil.example", HttpStatusCode.Forbidden)]
    [InlineData("10.0.0.1:8080", HttpStatusCode.Forbidden)]
    [InlineData("localhost.evil.example", HttpStatusCode.Forbidden)]
    [InlineData("spot.example:99", null)]
    [InlineData("localhost:1234", null)]
    [InlineData("127.9.8.7", null)]
    [InlineData("[::1]:80", null)]
    public async Task Server_on_loopback_answers_names_of_this_machine_only_on_every_path(
        string host, HttpStatusCode? refusal)
    {
        await using var server = await ApiServer.StartAsync(
            access: new AccessOptions { IsLoopback = true, Hosts = ["spot.example"] });

        foreach (var (method, path) in All)
        {
            using var response = await SendAsync(server, method, path, ("Host", host));
            Assert.Equal((path, refusal is not null), (path, await CodeAsync(response) == "host_refused"));
            if (refusal is { } status) Assert.Equal(status, response.StatusCode);
        }
    }

    [Fact]
    public async Task Server_on_a_network_answers_any_name()
    {
        await using var server = await ApiServer.StartAsync(access: new AccessOptions());

        using var response = await SendAsync(server, "GET", "/health", ("Host", "spot.example"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Theory]
    [InlineData("http://evil.example", true)]
    [InlineData("null", true)]
    [InlineData("http://localhost:1", true)]
    [InlineData("https://chat.example", false)]
    public async Task Web_page_of_another_origin_is_refused_on_every_path_unless_it_is_allowed(
        string origin, bool isRefused)
    {
        await using var server = await ApiServer.StartAsync(
            access: new AccessOptions { IsLoopback = true, Origins = ["https://chat.example"] });

        foreach (var (method, path) in All)
        {
            using var response = await SendAsync(server, method, path, ("Origin", origin));
            Assert.Equal((path, isRefused), (path, await CodeAsync(response) == "origin_refused"));
            Assert.Equal(!isRefused, response.Headers.Contains("Access-Control-Allow-Origin"));
        }
    }

    [Fact]
    public async Task Page_of_the_server_itself_is_no_stranger()
    {
        await using var server = await ApiServer.StartAsync();
        var self = server.Client.BaseAddress!.GetLeftPart(UriPartial.Authority);

        using var response = await SendAsync(server, "GET", "/v1/models", ("Origin", self));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Theory]
    [InlineData(null, false)]
    [InlineData("Bearer not the key", false)]
    [InlineData("Basic " + Key, false)]
    [InlineData("Bearer " + Key, true)]
    [InlineData("bearer " + Key, true)]
    public async Task Admin_key_is_asked_for_on_admin_paths_only(string? authorization, bool isLetIn)
    {
        await using var server = await ApiServer.StartAsync(
            access: new AccessOptions { IsLoopback = true, AdminKey = Key });
        (string, string)[] headers = authorization is null ? [] : [("Authorization", authorization)];

        foreach (var (method, path) in All.Append(("GET", "/Admin/replicas")))
        {
            using var response = await SendAsync(server, method, path, headers);
            var isRefused = response.StatusCode == HttpStatusCode.Unauthorized;
            string[] operators = ["/admin", "/dashboard", "/_blazor"];
            var isAdmin = operators.Any(start => path.StartsWith(start, StringComparison.OrdinalIgnoreCase));
            Assert.Equal((path, isAdmin && !isLetIn), (path, isRefused));
        }
    }

    [Fact]
    public async Task Browser_sees_the_dashboard_once_its_operator_has_given_the_key_and_no_admin_path_by_that()
    {
        await using var server = await ApiServer.StartAsync(
            access: new AccessOptions { IsLoopback = true, AdminKey = Key });
        (string, string) page = ("Accept", "text/html");

        using var refused = await SendAsync(server, "GET", "/dashboard", page);
        using var wrong = await LogInAsync(server, "not the key");
        using var right = await LogInAsync(server, Key);

        // The client follows redirects: what is asked for without a key ends at the form.
        Assert.Equal("/dashboard-login", refused.RequestMessage!.RequestUri!.AbsolutePath);
        Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
        Assert.False(wrong.Headers.Contains("Set-Cookie"));
        Assert.Equal("/dashboard", right.RequestMessage!.RequestUri!.AbsolutePath);
        Assert.Equal(HttpStatusCode.OK, right.StatusCode);
        using var admin = await SendAsync(server, "GET", "/admin/replicas");
        Assert.Equal(HttpStatusCode.Unauthorized, admin.StatusCode);
    }

    private static Task<HttpResponseMessage> LogInAsync(ApiServer server, string key) => server.Client.PostAsync(
        "/dashboard-login", new FormUrlEncodedContent(new Dictionary<string, string> { ["key"] = key }), Cancel);

    private static async Task<HttpResponseMessage> SendAsync(
        ApiServer server, string method, string path, params (string Name, string Value)[] headers)
    {
        server.Cluster.Script ??= FakeCluster.Tokens([300]);
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method == "POST")
            request.Content = new StringContent("""{"prompt": "a"}""", Encoding.UTF8, "application/json");
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        return await server.Client.SendAsync(request, Cancel);
    }

    private static async Task<string?> CodeAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync(Cancel);
        if (!text.StartsWith("{\"error\"", StringComparison.Ordinal)) return null;
        using var body = System.Text.Json.JsonDocument.Parse(text);
        return body.RootElement.GetProperty("error").GetProperty("code").GetString();
    }
}
