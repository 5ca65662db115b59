using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SpotServe.Seed.Api;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>What every path does alike: methods, content types, and errors in OpenAI's form.</summary>
public sealed class EdgeTests
{
    private static readonly string[] ReadPaths =
    [
        "/", "/health", "/ready", "/v1/models", "/v1/models/tinystories-4m", "/v1/requests/cmpl-9", "/admin/replicas",
        "/admin/reconfigurations", "/admin/cluster", "/metrics", "/version", "/dashboard", "/dashboard-login",
    ];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Head_is_answered_as_get_is_but_without_a_body()
    {
        await using var server = await ServerWithOneRequestAsync();

        foreach (var path in ReadPaths)
        {
            using var get = await SendAsync(server, HttpMethod.Get, path);
            using var head = await SendAsync(server, HttpMethod.Head, path);

            Assert.Equal((path, get.StatusCode), (path, head.StatusCode));
            Assert.Equal(get.Content.Headers.ContentType, head.Content.Headers.ContentType);
            Assert.Empty(await head.Content.ReadAsByteArrayAsync(Cancel));
        }
    }

    [Fact]
    public async Task Head_of_a_stream_ends_at_once()
    {
        await using var server = await ApiServer.StartAsync();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        using var request = new HttpRequestMessage(HttpMethod.Head, $"/v1/requests/{server.Cluster.Last.Id}");
        request.Headers.Accept.ParseAdd("text/event-stream");

        using var head = await server.Client.SendAsync(request, Cancel);

        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        Assert.Equal("text/event-stream", head.Content.Headers.ContentType?.MediaType);
    }

    [Theory]
    [InlineData("GET", "/v1/completions", "OPTIONS, POST")]
    [InlineData("PUT", "/v1/completions", "OPTIONS, POST")]
    [InlineData("POST", "/health", "GET, HEAD, OPTIONS")]
    [InlineData("DELETE", "/v1/models/x", "GET, HEAD, OPTIONS")]
    [InlineData("GET", "/admin/layout", "OPTIONS, POST")]
    [InlineData("PATCH", "/admin/nodes/a/preempt", "OPTIONS, POST")]
    public async Task Wrong_method_is_answered_with_405_and_options_with_what_there_is(
        string method, string path, string allowed)
    {
        await using var server = await ApiServer.StartAsync();

        using var refused = await SendAsync(server, new HttpMethod(method), path);
        using var options = await SendAsync(server, HttpMethod.Options, path);

        Assert.Equal(HttpStatusCode.MethodNotAllowed, refused.StatusCode);
        Assert.Equal(allowed, Allowed(refused));
        Assert.Equal("method_not_allowed", (await ErrorAsync(refused)).GetProperty("code").GetString());
        Assert.Equal(HttpStatusCode.NoContent, options.StatusCode);
        Assert.Equal(allowed, Allowed(options));
    }

    [Theory]
    [InlineData("/v1/models/Llama-3.1", "model_not_found")]
    [InlineData("/v1/models/meta/llama.gguf", "model_not_found")]
    [InlineData("/favicon.ico", "not_found")]
    [InlineData("/v1/requests", "not_found")]
    [InlineData("/v1/requests/a%2Fb", "request_unknown")]
    [InlineData("/v1/requests/%7B%22", "request_unknown")]
    [InlineData("/admin", "not_found")]
    [InlineData("/admin/no.thing", "not_found")]
    public async Task What_is_not_there_is_a_404_in_openais_form(string path, string code)
    {
        await using var server = await ApiServer.StartAsync();

        using var response = await SendAsync(server, HttpMethod.Get, path);

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        var error = await ErrorAsync(response);
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.True(error.TryGetProperty("param", out _));
    }

    [Theory]
    [InlineData("/v1/completions", "text/plain", null)]
    [InlineData("/v1/completions", "application/x-www-form-urlencoded", null)]
    [InlineData("/v1/completions", "application/json; charset=utf-16", null)]
    [InlineData("/v1/completions", "json", null)]
    [InlineData("/v1/completions", null, null)]
    [InlineData("/v1/completions", "application/json", "gzip")]
    [InlineData("/admin/layout", "text/plain", null)]
    [InlineData("/admin/layout", null, null)]
    [InlineData("/admin/layout", "application/json", "br")]
    [InlineData("/admin/nodes/a/preempt", "text/plain", null)]
    public async Task Body_that_is_not_sent_as_plain_json_is_answered_with_415(
        string path, string? type, string? encoding)
    {
        await using var server = await ApiServer.StartAsync();
        using var content = new ByteArrayContent("""{"prompt": "a"}"""u8.ToArray());
        if (type is not null) content.Headers.TryAddWithoutValidation("Content-Type", type);
        if (encoding is not null) content.Headers.ContentEncoding.Add(encoding);

        using var response = await server.Client.PostAsync(path, content, Cancel);

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Equal("unsupported_media_type", (await ErrorAsync(response)).GetProperty("code").GetString());
        Assert.Empty(server.Cluster.Submitted);
        Assert.Empty(server.Cluster.Operator.Preempted);
    }

    [Theory]
    [InlineData("{\"prompt\": \"a\", \"max_tokens\": \"\u00FF\"}")]
    [InlineData("{\"prompt\": \"\u00C3(\"}")]
    [InlineData("{\"\u00FF\": 1, \"prompt\": \"a\"}")]
    [InlineData("{\"layout\": \"\u00FE\"}")]
    [InlineData("{\"\\ud800\": 1, \"prompt\": \"a\"}")]
    [InlineData("{\"layout\": \"\\udc00\"}")]
    [InlineData("{\"prompt\": [1, 2")]
    [InlineData("\u0000")]
    [InlineData("null")]
    public async Task Bytes_that_are_no_text_are_answered_with_400_on_every_path(string latin1)
    {
        await using var server = await ApiServer.StartAsync();

        foreach (var path in (string[])["/v1/completions", "/admin/layout", "/admin/nodes/a/preempt"])
        {
            using var content = new ByteArrayContent(Encoding.Latin1.GetBytes(latin1));
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            using var response = await server.Client.PostAsync(path, content, Cancel);

            Assert.Equal((path, HttpStatusCode.BadRequest), (path, response.StatusCode));
            Assert.NotEmpty((await ErrorAsync(response)).GetProperty("message").GetString()!);
        }
    }

    [Theory]
    [InlineData("/v1/completions")]
    [InlineData("/admin/layout")]
    [InlineData("/admin/nodes/a/preempt")]
    public async Task Body_beyond_the_limit_is_answered_with_413_on_every_path(string path)
    {
        await using var server = await ApiServer.StartAsync(new() { BodyBytesMax = 2048 });
        using var content = new StringContent(
            $$"""{"layout": "{{new string('1', 4096)}}"}""", Encoding.UTF8, "application/json");

        using var response = await server.Client.PostAsync(path, content, Cancel);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Equal("body_too_large", (await ErrorAsync(response)).GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"layuot": "1,2,2"}""")]
    [InlineData("""{"layout": "1,2,2", "layout": null}""")]
    [InlineData("""{"layout": "1,2,2", "force": true}""")]
    [InlineData("""{"layout": 122}""")]
    public async Task Order_that_is_not_understood_changes_no_layout(string body)
    {
        await using var server = await ApiServer.StartAsync();
        using var content = new StringContent(body, Encoding.UTF8, "application/json");

        using var response = await server.Client.PostAsync("/admin/layout", content, Cancel);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Empty(server.Cluster.Operator.Wanted);
    }

    [Theory]
    [InlineData(FinishReason.Length)]
    [InlineData(FinishReason.Failed)]
    public async Task Stream_that_is_asked_for_again_behind_its_end_is_answered_with_204(FinishReason reason)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("Hello there."), reason);
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var last = (await stream.RestAsync()).Last(e => e.Id is not null);

        using var again = await server.ResumeAsync(server.Cluster.Last.Id.Value, last.Id);
        using var before = await server.ResumeAsync(server.Cluster.Last.Id.Value, last.Id - 1);

        Assert.Equal(HttpStatusCode.NoContent, again.Response.StatusCode);
        Assert.Equal(HttpStatusCode.OK, before.Response.StatusCode);
    }

    [Fact]
    public async Task Reader_too_many_is_answered_with_429()
    {
        await using var server = await ServerWithOneRequestAsync();
        server.Cluster.IsFull = true;

        using var stream = await server.ResumeAsync(server.Cluster.Last.Id.Value, lastSeen: 0);

        Assert.Equal(HttpStatusCode.TooManyRequests, stream.Response.StatusCode);
        Assert.NotNull(stream.Response.Headers.RetryAfter);
    }

    [Fact]
    public async Task Streams_that_are_read_again_count_as_open_responses()
    {
        await using var server = await ApiServer.StartAsync(new() { OpenResponsesMax = 2 });
        using var first = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        using var second = await server.ResumeAsync(server.Cluster.Last.Id.Value, lastSeen: null);

        using var third = await server.ResumeAsync(server.Cluster.Last.Id.Value, lastSeen: null);

        Assert.Equal(HttpStatusCode.OK, second.Response.StatusCode);
        Assert.Equal(HttpStatusCode.TooManyRequests, third.Response.StatusCode);
    }

    [Fact]
    public async Task Client_that_has_its_share_of_the_responses_leaves_room_for_another()
    {
        const string greedy = "6f8db599de986fab7a21625b7916589c";
        await using var server = await ApiServer.StartAsync(
            new() { OpenResponsesMax = 9 },
            new AccessOptions
            {
                IsLoopback = true,
                Keys = ApiKeys.Parse([$"{Hash(greedy)} greedy", $"{Hash("other")} other"]),
            });
        var body = """{"prompt": "Once", "stream": true}""";
        var streams = new List<SseReader>();
        for (var i = 0; i < 8; i++)
            streams.Add(await server.StreamAsync(body, ("Authorization", $"Bearer {greedy}")));

        using var refused = await server.StreamAsync(body, ("Authorization", $"Bearer {greedy}"));
        using var other = await server.StreamAsync(body, ("Authorization", "Bearer other"));

        Assert.All(streams, stream => Assert.Equal(HttpStatusCode.OK, stream.Response.StatusCode));
        Assert.Equal(HttpStatusCode.TooManyRequests, refused.Response.StatusCode);
        Assert.Equal(HttpStatusCode.OK, other.Response.StatusCode);
        Assert.Equal("key other", server.Cluster.Last.Spec.Standing.Client);
        streams.ForEach(stream => stream.Dispose());
    }

    [Theory]
    [InlineData("127.0.0.1", "address 127.0.0.1")]
    [InlineData("::ffff:10.1.2.3", "address 10.1.2.3")]
    [InlineData("2001:db8:1:2:3:4:5:6", "address 2001:db8:1:2::/64")]
    [InlineData("2001:db8:1:2:ffff::", "address 2001:db8:1:2::/64")]
    [InlineData(null, "")]
    public void Client_without_a_key_is_known_by_its_address_or_its_network_s(string? address, string name)
    {
        var client = ApiClient.OfAddress(address is null ? null : IPAddress.Parse(address));

        Assert.Equal(name, client.Name);
        Assert.InRange(client.Name.Length, 0, Standing.ClientCharsMax);
    }

    [Fact]
    public async Task Client_without_a_key_is_its_address_in_the_request()
    {
        await using var server = await ServerWithOneRequestAsync();

        Assert.Equal("address 127.0.0.1", server.Cluster.Last.Spec.Standing.Client);
    }

    private static string Hash(string key) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(key)));

    private static async Task<ApiServer> ServerWithOneRequestAsync()
    {
        var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("Hello"));
        server.Cluster.Finish(new RequestId("cmpl-9"), server.Cluster.Script.Value);
        await server.PostAsync("""{"prompt": "Once"}""");
        return server;
    }

    private static Task<HttpResponseMessage> SendAsync(ApiServer server, HttpMethod method, string path) =>
        server.Client.SendAsync(new HttpRequestMessage(method, path), Cancel);

    private static string Allowed(HttpResponseMessage response) =>
        string.Join(", ", response.Content.Headers.Allow.Order(StringComparer.Ordinal));

    private static async Task<JsonElement> ErrorAsync(HttpResponseMessage response) =>
        JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel)).RootElement.GetProperty("error");
}
