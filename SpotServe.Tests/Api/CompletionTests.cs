using System.Net;
using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class CompletionTests
{
    private const string Story = ", there was a little girl named Lily. She said: \"héllo 😀\"";

    [Fact]
    public async Task Completion_has_the_text_usage_and_reason_of_the_clusters_tokens()
    {
        await using var server = await ApiServer.StartAsync();
        var ids = ApiServer.Ids(Story);
        server.Cluster.Script = FakeCluster.Tokens(ids);

        var (response, body) = await server.PostAsync(
            """{"model": "tinystories-4m", "prompt": "Once upon a time", "max_tokens": 100, "temperature": 0}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("text_completion", body.GetProperty("object").GetString());
        Assert.Equal(server.Cluster.Last.Id.Value, body.GetProperty("id").GetString());
        Assert.Equal(server.Cluster.Last.Id.Value, response.Headers.GetValues("X-Request-Id").Single());
        var choice = body.GetProperty("choices")[0];
        Assert.Equal(Story, choice.GetProperty("text").GetString());
        Assert.Equal("length", choice.GetProperty("finish_reason").GetString());
        Assert.Equal(5, body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        Assert.Equal(ids.Length, body.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.Equal(5 + ids.Length, body.GetProperty("usage").GetProperty("total_tokens").GetInt32());
        Assert.Equal([1, 393, 394, 260, 374], server.Cluster.Last.Prompt);
        Assert.Equal(0f, server.Cluster.Last.Parameters.Sampling.Temperature);
        Assert.Equal([0], server.Cluster.Last.Parameters.StopTokens);
        Assert.True(server.Cluster.NothingCancelled);
    }

    [Fact]
    public async Task Stream_has_one_chunk_a_token_and_ends_with_done()
    {
        await using var server = await ApiServer.StartAsync();
        var ids = ApiServer.Ids(Story);
        server.Cluster.Script = FakeCluster.Tokens(ids, FinishReason.Stop);

        using var stream = await server.StreamAsync(
            """{"prompt": "Once", "stream": true, "stream_options": {"include_usage": true}}""");
        var events = await stream.RestAsync();

        Assert.Equal("text/event-stream", stream.Response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("[DONE]", events[^1].Data);
        var usage = events[^2].Json;
        Assert.Equal(0, usage.GetProperty("choices").GetArrayLength());
        Assert.Equal(ids.Length, usage.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        var chunks = events[..^2];
        Assert.Equal(Enumerable.Range(0, ids.Length + 1), chunks.Select(c => c.Id!.Value));
        Assert.Equal(Story, string.Concat(chunks.Select(c => c.Text)));
        Assert.All(chunks[..^1], c => Assert.Null(c.Finish));
        Assert.Equal("stop", chunks[^1].Finish);
        Assert.All(chunks, c => Assert.Equal(server.Cluster.Last.Id.Value, c.Json.GetProperty("id").GetString()));
    }

    [Fact]
    public async Task Stream_shows_each_token_when_it_comes_and_never_half_a_character()
    {
        await using var server = await ApiServer.StartAsync();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var id = server.Cluster.Last.Id;
        var ids = ApiServer.Ids("é😀.");

        var text = "";
        for (var i = 0; i < ids.Length; i++)
        {
            server.Cluster.Feed(id, new TokenBatch(i, [ids[i]], null, null));
            var chunk = await stream.NextAsync();
            Assert.Equal(i, chunk!.Id);
            Assert.DoesNotContain('\uFFFD', chunk.Text);
            text += chunk.Text;
        }

        Assert.Equal("é😀.", text);
        server.Cluster.Feed(id, new TokenBatch(ids.Length, [], FinishReason.Length, null));
        Assert.Equal(["length", null], (await stream.RestAsync()).Select(e => e.Data == "[DONE]" ? null : e.Finish));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stop_string_ends_the_text_before_it_and_cancels_the_request(bool streamed)
    {
        await using var server = await ApiServer.StartAsync();
        // The stop string spans several tokens, and begins in the middle of a text that looks like its beginning.
        server.Cluster.Script =
            [.. ApiServer.Ids("One day, one dog, one dime.").Select((t, i) => new TokenBatch(i, [t], null, null))];
        var json =
            $$"""{"prompt": "Once", "stop": ["nothing", "one di"], "stream": {{(streamed ? "true" : "false")}} }""";

        string text;
        string? finish;
        if (streamed)
        {
            using var stream = await server.StreamAsync(json);
            var chunks = (await stream.RestAsync())[..^1];
            (text, finish) = (string.Concat(chunks.Select(c => c.Text)), chunks[^1].Finish);
        }
        else
        {
            var choice = (await server.PostAsync(json)).Body.GetProperty("choices")[0];
            (text, finish) = (choice.GetProperty("text").GetString()!, choice.GetProperty("finish_reason").GetString());
        }

        Assert.Equal("One day, one dog, ", text);
        Assert.Equal("stop", finish);
        Assert.Equal(
            server.Cluster.Last.Id, await server.Cluster.NextCancelledAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Text_that_only_began_a_stop_string_is_shown_at_the_end()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("the end"));

        var (_, body) = await server.PostAsync("""{"prompt": "Once", "stop": "ending"}""");

        Assert.Equal("the end", body.GetProperty("choices")[0].GetProperty("text").GetString());
        Assert.Equal("length", body.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task Stop_token_is_no_part_of_the_text_unless_it_is_ignored()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens([.. ApiServer.Ids("Hi"), 0], FinishReason.Stop);

        using var stream = await server.StreamAsync("""{"prompt": "Once", "stream": true}""");
        var chunks = await stream.RestAsync();
        await server.PostAsync("""{"prompt": "Once", "ignore_eos": true}""");

        Assert.Equal("Hi", string.Concat(chunks[..^1].Select(c => c.Text)));
        Assert.Empty(server.Cluster.Last.Parameters.StopTokens);
    }

    [Fact]
    public async Task Parameters_reach_the_cluster_as_given()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("Hi"));

        await server.PostAsync(
            """{"prompt": [[1, 393]], "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": -1}""");

        Assert.Equal([1, 393], server.Cluster.Last.Prompt);
        Assert.Equal(7, server.Cluster.Last.Parameters.TokensMax);
        Assert.Equal(new(0.5f, 0.9f, 40, ulong.MaxValue), server.Cluster.Last.Parameters.Sampling);
    }

    [Fact]
    public async Task Seeds_differ_when_none_is_given_and_the_defaults_are_openais()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids("Hi"));

        await server.PostAsync("""{"prompt": "a"}""");
        await server.PostAsync("""{"prompt": "a", "n": 1, "echo": false, "logprobs": null, "user": "me"}""");

        var sampled = server.Cluster.Submitted.Select(s => s.Parameters).ToArray();
        Assert.NotEqual(sampled[0].Sampling.Seed, sampled[1].Sampling.Seed);
        Assert.All(sampled, p => Assert.Equal(16, p.TokensMax));
        Assert.All(sampled, p => Assert.Equal((1f, 1f, 0), (p.Sampling.Temperature, p.Sampling.TopP, p.Sampling.TopK)));
    }
}
