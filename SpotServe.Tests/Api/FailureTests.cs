using System.Net;
using System.Net.Sockets;
using System.Text;
using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class FailureTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Refusals_of_the_cluster_become_429_503_and_400()
    {
        await using var server = await ApiServer.StartAsync();
        (Admission Answer, HttpStatusCode Status, string? RetryAfter)[] cases =
        [
            (new Admission.Busy("1,024 are open.", TimeSpan.FromSeconds(1.5)), HttpStatusCode.TooManyRequests, "2"),
            (new Admission.Unavailable("No layout.", TimeSpan.FromSeconds(9)), HttpStatusCode.ServiceUnavailable, "9"),
            (new Admission.Refused("Too long for the cache."), HttpStatusCode.BadRequest, null),
        ];
        foreach (var (answer, status, retryAfter) in cases)
        {
            server.Cluster.Answer = answer;

            var (response, body) = await server.PostAsync("""{"prompt": "Once", "stream": true}""");

            Assert.Equal(status, response.StatusCode);
            Assert.Equal(retryAfter, response.Headers.RetryAfter?.ToString());
            Assert.NotEmpty(body.GetProperty("error").GetProperty("message").GetString()!);
        }
    }

    [Fact]
    public async Task Client_that_disconnects_cancels_its_request()
    {
        await using var server = await ApiServer.StartAsync();
        var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var id = server.Cluster.Last.Id;
        server.Cluster.Feed(id, new TokenBatch(0, [300], null, null));
        await stream.NextAsync();

        stream.Dispose();

        Assert.Equal(id, await server.Cluster.NextCancelledAsync(Cancel));
    }

    [Fact]
    public async Task Client_that_disconnects_before_a_whole_answer_cancels_its_request()
    {
        await using var server = await ApiServer.StartAsync();
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(IPAddress.Loopback, server.Client.BaseAddress!.Port, Cancel);
            const string body = """{"prompt": "Once"}""";
            await socket.GetStream().WriteAsync(
                Encoding.ASCII.GetBytes(
                    $"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n" +
                    "Content-Type: application/json\r\n" + $"Content-Length: {body.Length}\r\n\r\n{body}"),
                Cancel);
            while (server.Cluster.Submitted.IsEmpty) await Task.Yield();
        }

        Assert.Equal(server.Cluster.Last.Id, await server.Cluster.NextCancelledAsync(Cancel));
    }

    [Fact]
    public async Task Detached_request_goes_on_when_its_client_disconnects_and_is_read_again()
    {
        await using var server = await ApiServer.StartAsync();
        var stream = await server.StreamAsync(
            """{"prompt": "Once", "stream": true, "stop": " cat"}""", ("X-SpotServe-Detach", "true"));
        var id = server.Cluster.Last.Id;
        var ids = ApiServer.Ids("The dog saw a cat");
        server.Cluster.Feed(id, new TokenBatch(0, [ids[0]], null, null));
        var first = await stream.NextAsync();
        stream.Dispose();

        server.Cluster.Finish(id, [.. ids.Select((t, i) => new TokenBatch(i, [t], null, null))]);
        using var resumed = await server.ResumeAsync(id.Value, first!.Id);
        var rest = await resumed.RestAsync();

        Assert.Equal("The dog saw a", first.Text + string.Concat(rest[..^1].Select(e => e.Text)));
        Assert.Equal(Enumerable.Range(1, rest.Count - 1), rest[..^1].Select(e => e.Id!.Value));
        Assert.Equal("stop", rest[^2].Finish);
        Assert.Equal("[DONE]", rest[^1].Data);
    }

    [Fact]
    public async Task Failure_inside_a_stream_is_an_error_event_that_ends_it()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script =
            [new TokenBatch(0, [300], null, null), new TokenBatch(1, [], FinishReason.Failed, "The cache is gone.")];

        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var events = await stream.RestAsync();
        var (whole, body) = await server.PostAsync("""{"prompt": "Once"}""");

        Assert.Equal([null, "error"], events.Select(e => e.Event));
        Assert.Contains(
            "The cache is gone.",
            events[1].Json.GetProperty("error").GetProperty("message").GetString(),
            StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.InternalServerError, whole.StatusCode);
        Assert.Equal("server_error", body.GetProperty("error").GetProperty("type").GetString());
    }

    [Fact]
    public async Task Exception_inside_a_stream_is_an_error_event_without_its_details()
    {
        await using var server = await ApiServer.StartAsync();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");

        server.Cluster.Break(server.Cluster.Last.Id, new IOException("secret path"));
        var error = Assert.Single(await stream.RestAsync());

        Assert.Equal("error", error.Event);
        Assert.DoesNotContain("secret", error.Data, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Missing_token_is_an_error_and_not_a_gap()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = [new TokenBatch(0, [300], null, null), new TokenBatch(2, [301], null, null)];

        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var events = await stream.RestAsync();

        Assert.Equal("error", events[^1].Event);
    }

    [Fact]
    public async Task Silent_cluster_ends_the_response_but_not_the_request()
    {
        await using var server = await ApiServer.StartAsync(new() { SilenceMax = TimeSpan.FromMilliseconds(50) });

        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var error = Assert.Single(await stream.RestAsync());
        var (whole, body) = await server.PostAsync("""{"prompt": "Once"}""");

        Assert.Equal("error", error.Event);
        Assert.Contains("GET /v1/requests/cmpl-1", error.Data, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, whole.StatusCode);
        Assert.Equal("interrupted", body.GetProperty("error").GetProperty("code").GetString());
        Assert.True(server.Cluster.NothingCancelled);
    }

    [Fact]
    public async Task Stopping_server_ends_its_streams_with_an_error_and_leaves_the_requests()
    {
        await using var server = await ApiServer.StartAsync();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");

        var stopped = server.StopAsync();
        var error = Assert.Single(await stream.RestAsync());
        await stopped;

        Assert.Contains("stopping", error.Data, StringComparison.Ordinal);
        Assert.True(server.Cluster.NothingCancelled);
    }

    [Fact]
    public async Task Response_beyond_the_limit_gets_429_until_another_ends()
    {
        await using var server = await ApiServer.StartAsync(new() { OpenResponsesMax = 1 });
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");

        var (full, _) = await server.PostAsync("""{"prompt": "Once"}""");
        server.Cluster.Feed(server.Cluster.Last.Id, new TokenBatch(0, [], FinishReason.Length, null));
        await stream.RestAsync();

        Assert.Equal(HttpStatusCode.TooManyRequests, full.StatusCode);
        Assert.NotNull(full.Headers.RetryAfter);
        Assert.Single(server.Cluster.Submitted);
    }
}
