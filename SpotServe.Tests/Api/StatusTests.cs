using System.Net;
using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class StatusTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ready_follows_the_layout_and_health_does_not()
    {
        await using var server = await ApiServer.StartAsync();

        var (ready, readyBody) = await server.GetAsync("/ready");
        server.Cluster.Status = new ServiceStatus(false, "waiting for 2 more nodes", null, 0);
        var (waiting, waitingBody) = await server.GetAsync("/ready");
        var (health, _) = await server.GetAsync("/health");

        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Equal("layout (1,4,1) on 4 nodes", readyBody.GetProperty("detail").GetString());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, waiting.StatusCode);
        Assert.Equal("waiting for 2 more nodes", waitingBody.GetProperty("detail").GetString());
        Assert.NotNull(waiting.Headers.RetryAfter);
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
    }

    [Fact]
    public async Task Models_lists_the_one_that_is_served()
    {
        await using var server = await ApiServer.StartAsync();

        var (_, body) = await server.GetAsync("/v1/models");

        Assert.Equal("list", body.GetProperty("object").GetString());
        Assert.Equal(ApiServer.Model, body.GetProperty("data")[0].GetProperty("id").GetString());
    }

    [Fact]
    public async Task Front_page_has_a_curl_line_to_paste()
    {
        await using var server = await ApiServer.StartAsync();

        var page = await server.Client.GetStringAsync("/", Cancel);

        Assert.Contains(ApiServer.Model, page, StringComparison.Ordinal);
        Assert.Contains($"curl -N {server.Client.BaseAddress}v1/completions", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unknown_path_is_answered_in_openais_form()
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.GetAsync("/v1/engines");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Contains("/v1/engines", body.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Request_is_read_again_with_its_text_so_far_and_its_end()
    {
        await using var server = await ApiServer.StartAsync();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var id = server.Cluster.Last.Id;
        var ids = ApiServer.Ids("Hello there.");
        server.Cluster.Finish(id, FakeCluster.Tokens(ids));

        var (_, body) = await server.GetAsync($"/v1/requests/{id}");

        Assert.Equal("completed", body.GetProperty("status").GetString());
        Assert.Equal("Hello there.", body.GetProperty("text").GetString());
        Assert.Equal(ids.Length, body.GetProperty("completion_tokens").GetInt32());
        Assert.Equal("length", body.GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task Request_that_waits_for_its_first_token_is_in_progress()
    {
        await using var server = await ApiServer.StartAsync(new() { SnapshotWait = TimeSpan.FromMilliseconds(50) });
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");

        var (_, body) = await server.GetAsync($"/v1/requests/{server.Cluster.Last.Id}");

        Assert.Equal("in_progress", body.GetProperty("status").GetString());
        Assert.Equal("", body.GetProperty("text").GetString());
    }

    [Theory]
    [InlineData(FinishReason.Cancelled, "cancelled")]
    [InlineData(FinishReason.Failed, "failed")]
    public async Task Request_that_ended_early_says_so(FinishReason reason, string status)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Finish(new RequestId("cmpl-9"), FakeCluster.Tokens(ApiServer.Ids("Hel"), reason));

        var (_, body) = await server.GetAsync("/v1/requests/cmpl-9");

        Assert.Equal(status, body.GetProperty("status").GetString());
        Assert.Equal("Hel", body.GetProperty("text").GetString());
    }

    [Fact]
    public async Task Unknown_request_is_answered_with_404_as_json_and_as_a_stream()
    {
        await using var server = await ApiServer.StartAsync();

        var (json, _) = await server.GetAsync("/v1/requests/cmpl-77");
        using var stream = await server.ResumeAsync("cmpl-77", lastSeen: 3);

        Assert.Equal(HttpStatusCode.NotFound, json.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, stream.Response.StatusCode);
    }

    [Theory]
    [InlineData("GET", "/v1/requests/cmpl-1", "Last-Event-ID", "-1")]
    [InlineData("POST", "/v1/completions", "X-SpotServe-Detach", "maybe")]
    public async Task Malformed_header_is_answered_with_400(string method, string path, string name, string value)
    {
        await using var server = await ApiServer.StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        request.Headers.Add(name, value);

        using var response = await server.Client.SendAsync(request, Cancel);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains(name, await response.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_resumed_anywhere_gives_the_rest_of_the_same_chunks()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("An emoji 😀 and é."), FinishReason.Length);
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var all = await stream.RestAsync();

        // The last two events are the end, with an id, and [DONE], without one.
        for (var seen = -1; seen < all.Count - 2; seen++)
        {
            using var resumed = await server.ResumeAsync(server.Cluster.Last.Id.Value, seen < 0 ? null : seen);
            Assert.Equal(all.Skip(seen + 1), await resumed.RestAsync());
        }
    }
}
