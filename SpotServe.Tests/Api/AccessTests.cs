using System.Net;
using System.Security.Cryptography;
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

    [Theory]
    [InlineData(null, false)]
    [InlineData("Bearer " + Key, false)]
    [InlineData("Bearer one", true)]
    [InlineData("bearer two", true)]
    [InlineData("Bearer two ", true)]
    [InlineData("Bearer on", false)]
    [InlineData("Basic one", false)]
    public async Task Keys_of_clients_are_asked_for_on_clients_paths_only(string? authorization, bool isLetIn)
    {
        await using var server = await ApiServer.StartAsync(access: new AccessOptions
        {
            IsLoopback = true,
            AdminKey = Key,
            Keys = ApiKeys.Parse(["# two", $"{Hash("one")} first", "", $"{Hash("two").ToLowerInvariant()}  it"]),
        });
        (string, string)[] headers = authorization is null ? [] : [("Authorization", authorization)];

        foreach (var (method, path) in All.Append(("POST", "/tokenize")).Append(("GET", "/V1/models")))
        {
            using var response = await SendAsync(server, method, path, headers);
            var isClients = method != "OPTIONS" && (path.StartsWith("/v1", StringComparison.OrdinalIgnoreCase)
                || path == "/tokenize");
            Assert.Equal(
                (path, isClients && !isLetIn), (path, await CodeAsync(response) == "invalid_api_key"));
        }
    }

    [Theory]
    [InlineData("word name", "line 1")]
    [InlineData("# nothing else", "no key")]
    [InlineData("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "line 1")]
    [InlineData("g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef name", "line 1")]
    [InlineData("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef a weight=0", "1 to 1000")]
    [InlineData("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef a priority=high", "-10 to 10")]
    [InlineData("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  weight=2 ", "line 1")]
    public void File_that_holds_something_else_than_keys_is_refused_by_line(string line, string complaint) =>
        Assert.Contains(
            complaint, Assert.Throws<FormatException>(() => ApiKeys.Parse([line])).Message, StringComparison.Ordinal);

    [Fact]
    public void Key_has_the_weight_and_the_priority_that_stand_behind_its_name()
    {
        var keys = ApiKeys.Parse(
        [
            $"{Hash("1")} two words", $"{Hash("2")}\talice  priority=0\tweight=40", $"{Hash("3")} odd weight=5 end",
        ]);

        Assert.Equal(
            [("two words", 1, -10), ("alice", 40, 0), ("odd weight=5 end", 1, -10)],
            keys.Select(key => (key.Name, key.Weight, key.PriorityMin)));
        var error = Assert.Throws<FormatException>(
            () => ApiKeys.Parse([$"{Hash("1")} alice", $"{Hash("2")} alice weight=2"]));
        Assert.Contains("line 2 gives alice another weight", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-3, HttpStatusCode.Forbidden)]
    [InlineData(-2, HttpStatusCode.OK)]
    [InlineData(10, HttpStatusCode.OK)]
    [InlineData(11, HttpStatusCode.BadRequest)]
    public async Task Priority_is_taken_as_far_as_the_key_may_ask_for_it(int priority, HttpStatusCode expected)
    {
        await using var server = await ApiServer.StartAsync(access: new AccessOptions
        {
            IsLoopback = true,
            Keys = ApiKeys.Parse([$"{Hash("one")} alice weight=3 priority=-2"]),
        });
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("Hello"));
        server.Client.DefaultRequestHeaders.Authorization = new("Bearer", "one");

        var (response, body) = await server.PostAsync($$"""{"prompt": "Once", "priority": {{priority}}}""");

        Assert.Equal(expected, response.StatusCode);
        if (expected == HttpStatusCode.OK)
            Assert.Equal(new Standing("key alice", 3, priority), server.Cluster.Last.Spec.Standing);
        else Assert.Equal("priority", body.GetProperty("error").GetProperty("param").GetString());
    }

    private static string Hash(string key) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(key)));

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
