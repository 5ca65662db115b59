using System.Collections.Immutable;
using System.Net;
using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>How long a request may take, and what its client hears when that is over.</summary>
public sealed class TimeoutTests
{
    private const string Why = "its time of 2 s is over";

    [Theory]
    [InlineData("""{"prompt": "Once", "timeout": 2.5}""", null, 2.5)]
    [InlineData("""{"prompt": "Once"}""", "0.5", 0.5)]
    [InlineData("""{"prompt": "Once", "timeout": 4}""", "0.5", 4)]
    [InlineData("""{"prompt": "Once", "timeout": null}""", null, 30)]
    public async Task Request_has_the_time_that_it_asks_for_or_the_server_s(string json, string? header, double seconds)
    {
        await using var server = await ApiServer.StartAsync(new() { RequestTimeout = TimeSpan.FromSeconds(30) });
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("Hello"));
        if (header is not null) server.Client.DefaultRequestHeaders.Add("X-SpotServe-Timeout", header);
        var before = DateTimeOffset.UtcNow;

        var (response, _) = await server.PostAsync(json);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var deadline = server.Cluster.Last.Spec.Deadline!.Value;
        Assert.InRange(deadline, before.AddSeconds(seconds), DateTimeOffset.UtcNow.AddSeconds(seconds));
    }

    [Theory]
    [InlineData("""{"prompt": "Once", "timeout": 0}""", null, "timeout")]
    [InlineData("""{"prompt": "Once", "timeout": 31}""", null, "timeout")]
    [InlineData("""{"prompt": "Once", "timeout": "2"}""", null, "timeout")]
    [InlineData("""{"prompt": "Once"}""", "31", "X-SpotServe-Timeout")]
    [InlineData("""{"prompt": "Once"}""", "soon", "X-SpotServe-Timeout")]
    [InlineData("""{"prompt": "Once"}""", "NaN", "X-SpotServe-Timeout")]
    public async Task Time_that_cannot_be_is_refused_with_the_bound(string json, string? header, string named)
    {
        await using var server = await ApiServer.StartAsync(new() { RequestTimeout = TimeSpan.FromSeconds(30) });
        if (header is not null) server.Client.DefaultRequestHeaders.Add("X-SpotServe-Timeout", header);

        var (response, body) = await server.PostAsync(json);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var message = body.GetProperty("error").GetProperty("message").GetString()!;
        Assert.Contains(named, message, StringComparison.Ordinal);
        Assert.Contains("0.001 to 30", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/completions", """{"prompt": "Once"}""")]
    [InlineData("/v1/completions", """{"prompt": "Once", "n": 2}""")]
    public async Task Whole_answer_whose_time_is_over_is_408_and_not_to_be_repeated(string path, string json)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = Late();

        var (response, body) = await server.PostAsync(json, path);

        Assert.Equal(HttpStatusCode.RequestTimeout, response.StatusCode);
        Assert.Equal("false", Assert.Single(response.Headers.GetValues("X-Should-Retry")));
        var error = body.GetProperty("error");
        Assert.Equal("request_timeout", error.GetProperty("code").GetString());
        Assert.Equal("timeout_error", error.GetProperty("type").GetString());
        Assert.Contains(Why, error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stream_whose_time_is_over_ends_with_an_error_after_its_tokens()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = Late();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");

        var events = await stream.RestAsync();

        Assert.Equal(HttpStatusCode.OK, stream.Response.StatusCode);
        Assert.Equal("Hello", string.Concat(events[..^1].Select(one => one.Text)));
        Assert.Equal("error", events[^1].Event);
        Assert.Equal("request_timeout", events[^1].Json.GetProperty("error").GetProperty("code").GetString());
    }

    private static ImmutableArray<TokenBatch> Late()
    {
        var ids = ApiServer.Ids("Hello");
        return [new TokenBatch(0, [.. ids], null, null), new TokenBatch(ids.Length, [], FinishReason.TimedOut, Why)];
    }
}
