using System.Net;
using System.Text.Json;
using SpotServe.Actors.Gateway;
using SpotServe.Seed.Templating;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>Answers with several choices, with log-probabilities, and what a client may ask of both.</summary>
public sealed class ChoicesTests
{
    private const string Words = " there was a";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_prompt_has_n_choices_with_seeds_of_their_own_and_is_counted_once()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Words));

        var (response, body) = await server.PostAsync(
            """{"prompt": ["Once", [1, 393, 394]], "n": 2, "seed": 7, "max_tokens": 5}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var submitted = server.Cluster.Submitted.ToArray();
        Assert.Equal([7UL, 8, 7, 8], submitted.Select(one => one.Parameters.Sampling.Seed));
        Assert.Equal(submitted[0].Prompt, submitted[1].Prompt);
        Assert.Equal([1, 393, 394], submitted[3].Prompt);
        var choices = body.GetProperty("choices").EnumerateArray().ToArray();
        Assert.Equal([0, 1, 2, 3], choices.Select(one => one.GetProperty("index").GetInt32()));
        Assert.All(choices, one => Assert.Equal(Words, one.GetProperty("text").GetString()));
        var usage = body.GetProperty("usage");
        Assert.Equal(submitted[0].Prompt.Length + 3, usage.GetProperty("prompt_tokens").GetInt32());
        Assert.Equal(4 * ApiServer.Ids(Words).Length, usage.GetProperty("completion_tokens").GetInt32());
        Assert.Equal("cmpl-1", body.GetProperty("id").GetString());
        Assert.Equal(
            "cmpl-1, cmpl-2, cmpl-3, cmpl-4", Assert.Single(response.Headers.GetValues("X-SpotServe-Request-Id")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Usage_counts_the_tokens_of_each_prompt_that_were_cached_before_it_came(bool streams)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = [.. FakeCluster.Tokens(ApiServer.Ids(Words)).Select(batch => batch with
        {
            ReusedTokens = 3,
        })];
        var body = streams
            ? """{"prompt": ["Once", "Twice"], "n": 2, "stream": true, "stream_options": {"include_usage": true}}"""
            : """{"prompt": ["Once", "Twice"], "n": 2}""";

        JsonElement usage;
        if (streams)
        {
            using var stream = await server.StreamAsync(body);
            usage = (await stream.RestAsync())[^2].Json.GetProperty("usage");
        }
        else
        {
            var (response, answer) = await server.PostAsync(body);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            usage = answer.GetProperty("usage");
        }

        Assert.Equal(6, usage.GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32());
        Assert.All(server.Cluster.Submitted, one => Assert.True(one.Spec.SharesPrompt));
    }

    [Fact]
    public async Task Stream_brings_every_choice_to_its_end_and_counts_in_each_event_when_asked()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Words));

        using var stream = await server.StreamAsync(
            """
            {"prompt": "Once", "n": 3, "echo": true, "stream": true,
              "stream_options": {"include_usage": true, "continuous_usage_stats": true}}
            """);
        var events = await stream.RestAsync();

        Assert.Equal("[DONE]", events[^1].Data);
        Assert.Empty(events[^2].Json.GetProperty("choices").EnumerateArray());
        var choices = events[..^2].Select(one => one.Json.GetProperty("choices")[0]).ToArray();
        for (var index = 0; index < 3; index++)
        {
            var mine = choices.Where(one => one.GetProperty("index").GetInt32() == index).ToArray();
            Assert.Equal("Once" + Words, string.Concat(mine.Select(one => one.GetProperty("text").GetString())));
            Assert.Equal("length", mine[^1].GetProperty("finish_reason").GetString());
        }

        var counts = events[3..^1].Select(
            one => one.Json.GetProperty("usage").GetProperty("completion_tokens").GetInt32()).ToArray();
        Assert.Equal(counts.Order(), counts);
        Assert.Equal(3 * ApiServer.Ids(Words).Length, counts[^1]);
    }

    [Theory]
    [InlineData("/v1/completions", """{"prompt": [1, 393, 394], "prompt_logprobs": 1, "n": 2}""")]
    [InlineData(
        "/v1/chat/completions",
        """{"messages": [{"role": "user", "content": "a"}], "prompt_logprobs": 1, "n": 2}""")]
    public async Task Log_probabilities_of_a_prompt_are_asked_for_once_and_come_as_vLLM_gives_them(
        string path, string body)
    {
        await using var server = await ApiServer.StartAsync(chatTemplate: ChatTemplate.Of(
            "{{ messages[0].content }} b c d", new Dictionary<string, Value>()));
        server.Cluster.Script = [.. FakeCluster.Tokens(ApiServer.Ids(Words)).Select((batch, i) => batch with
        {
            PromptLogprobs = i > 0
                ? []
                :
                [
                    new TokenLogprobs(-2, [new TopToken(393, -0.5f)]) { Rank = 9 },
                    new TokenLogprobs(float.NegativeInfinity, [new TopToken(393, -0.5f)]) { Rank = 500 },
                ],
        })];

        var (response, answer) = await server.PostAsync(body, path);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var submitted = server.Cluster.Submitted.ToArray();
        Assert.Equal([1, null], submitted.Select(one => one.Parameters.PromptLogprobs));
        var choices = answer.GetProperty("choices").EnumerateArray().ToArray();
        var isChat = path.Contains("chat", StringComparison.Ordinal);
        JsonElement[] holders = isChat ? [answer] : choices;
        Assert.Equal(isChat ? 1 : 2, holders.Length);
        foreach (var holder in holders)
        {
            var prompt = holder.GetProperty("prompt_logprobs");
            Assert.Equal(3, prompt.GetArrayLength());
            Assert.Equal(JsonValueKind.Null, prompt[0].ValueKind);
            var own = prompt[1].GetProperty($"{submitted[0].Prompt[1]}");
            Assert.Equal((-2, 9), (own.GetProperty("logprob").GetDouble(), own.GetProperty("rank").GetInt32()));
            Assert.Equal(1, prompt[2].GetProperty("393").GetProperty("rank").GetInt32());
            Assert.NotEmpty(prompt[2].GetProperty("393").GetProperty("decoded_token").GetString()!);
            Assert.Equal(
                -9999, prompt[2].GetProperty($"{submitted[0].Prompt[2]}").GetProperty("logprob").GetDouble());
        }
    }

    [Fact]
    public async Task Echo_with_logprobs_has_those_of_the_prompt_before_those_of_the_completion()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script =
        [
            Batch(0, 393, new TokenLogprobs(-1, [])) with
            {
                PromptLogprobs =
                [
                    new TokenLogprobs(-2, [new TopToken(300, -0.5f)]) { Rank = 9 },
                    new TokenLogprobs(-3, []) { Rank = 4 },
                ],
            },
            new TokenBatch(1, [], FinishReason.Length, null),
        ];

        var (response, body) = await server.PostAsync("""{"prompt": [5, 394, 300], "echo": true, "logprobs": 1}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(1, server.Cluster.Last.Parameters.PromptLogprobs);
        var choice = body.GetProperty("choices")[0];
        Assert.False(choice.TryGetProperty("prompt_logprobs", out _));
        var logprobs = choice.GetProperty("logprobs");
        Assert.Equal(
            [null, -2, -3, -1],
            logprobs.GetProperty("token_logprobs").EnumerateArray()
                .Select(one => one.ValueKind == JsonValueKind.Null ? null : (double?)one.GetDouble()));
        var texts = logprobs.GetProperty("tokens").EnumerateArray().Select(one => one.GetString()!).ToArray();
        var offsets = logprobs.GetProperty("text_offset").EnumerateArray().Select(one => one.GetInt32()).ToArray();
        Assert.Equal((4, 4), (texts.Length, offsets.Length));
        for (var i = 0; i < 4; i++) Assert.Equal(texts[..i].Sum(text => text.Length), offsets[i]);
        Assert.Equal(JsonValueKind.Null, logprobs.GetProperty("top_logprobs")[0].ValueKind);
        Assert.Equal(2, logprobs.GetProperty("top_logprobs")[1].EnumerateObject().Count());
    }

    [Fact]
    public async Task Prompt_alone_is_scored_and_shown_without_a_token_where_none_is_asked_for()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script =
        [
            Batch(0, 393, new TokenLogprobs(-1, [])) with
            {
                PromptLogprobs = [new TokenLogprobs(-2, []) { Rank = 9 }, new TokenLogprobs(-3, []) { Rank = 4 }],
            },
            new TokenBatch(1, [], FinishReason.Stop, null),
        ];

        var (response, body) = await server.PostAsync(
            """{"prompt": [5, 394, 300], "echo": true, "logprobs": 1, "max_tokens": 0}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        var choice = body.GetProperty("choices")[0];
        var texts = choice.GetProperty("logprobs").GetProperty("tokens").EnumerateArray()
            .Select(one => one.GetString()).ToArray();
        Assert.Equal(3, texts.Length);
        Assert.Equal(
            [null, -2, -3],
            choice.GetProperty("logprobs").GetProperty("token_logprobs").EnumerateArray()
                .Select(one => one.ValueKind == JsonValueKind.Null ? null : (double?)one.GetDouble()));
        Assert.Equal(string.Concat(texts), choice.GetProperty("text").GetString());
        Assert.Equal("length", choice.GetProperty("finish_reason").GetString());
        Assert.Equal(0, body.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.Equal(3, body.GetProperty("usage").GetProperty("total_tokens").GetInt32());
    }

    [Fact]
    public async Task Streams_of_prompts_alone_are_the_prompts_and_their_ends()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Words));

        using var stream = await server.StreamAsync(
            """{"prompt": "Once", "n": 2, "echo": true, "max_tokens": 0, "stream": true}""");
        var events = await stream.RestAsync();

        Assert.Equal("[DONE]", events[^1].Data);
        var choices = events[..^1].Select(one => one.Json.GetProperty("choices")[0]).ToArray();
        for (var index = 0; index < 2; index++)
        {
            var mine = choices.Where(one => one.GetProperty("index").GetInt32() == index).ToArray();
            Assert.Equal("Once", string.Concat(mine.Select(one => one.GetProperty("text").GetString())));
            Assert.Equal("length", mine[^1].GetProperty("finish_reason").GetString());
        }
    }

    [Fact]
    public async Task Prompt_whose_log_probabilities_are_too_many_is_refused_by_their_number()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Status = server.Cluster.Status with { ContextMax = 100_000 };
        var prompt = string.Join(',', Enumerable.Repeat("5", 1_600));

        var (response, body) = await server.PostAsync($$"""{"prompt": [{{prompt}}], "prompt_logprobs": 20}""");

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("33,600", body.GetProperty("error").GetProperty("message").GetString());
    }

    [Fact]
    public async Task Best_of_gives_the_likeliest_and_shows_no_logprobs_that_were_not_asked_for()
    {
        await using var server = await ApiServer.StartAsync();
        var posting = server.PostAsync("""{"prompt": "Once", "best_of": 3, "n": 1}""");
        while (server.Cluster.Submitted.Count < 3) await Task.Yield();
        foreach (var (one, i) in server.Cluster.Submitted.Select((one, i) => (one, i)))
        {
            Assert.Equal(0, one.Parameters.TopLogprobs);
            var logprob = i == 1 ? -0.5f : -2f;
            server.Cluster.Feed(one.Id, Batch(0, ApiServer.Ids(Words)[i], new TokenLogprobs(logprob, [])));
            server.Cluster.Feed(one.Id, new TokenBatch(1, [], FinishReason.Length, null));
        }

        var (_, body) = await posting;

        var choice = Assert.Single(body.GetProperty("choices").EnumerateArray());
        Assert.Equal(0, choice.GetProperty("index").GetInt32());
        Assert.Equal(JsonValueKind.Null, choice.GetProperty("logprobs").ValueKind);
        Assert.Equal(3, body.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        Assert.Equal(" was", choice.GetProperty("text").GetString());
    }

    [Fact]
    public async Task Logprobs_of_a_text_completion_have_the_form_of_openai()
    {
        await using var server = await ApiServer.StartAsync();
        var ids = ApiServer.Ids(Words);
        server.Cluster.Script =
        [
            Batch(0, ids[0], new TokenLogprobs(-0.5f, [new TopToken(ids[0], -0.5f), new TopToken(ids[1], -1)])),
            Batch(1, ids[1], new TokenLogprobs(float.NegativeInfinity, [new TopToken(ids[0], -0.25f)])),
            new TokenBatch(2, [], FinishReason.Length, null),
        ];

        var (_, body) = await server.PostAsync("""{"prompt": "Once", "logprobs": 2}""");

        Assert.Equal(2, server.Cluster.Last.Parameters.TopLogprobs);
        var logprobs = body.GetProperty("choices")[0].GetProperty("logprobs");
        Assert.Equal("[\" there\",\" was\"]", logprobs.GetProperty("tokens").GetRawText());
        Assert.Equal("[-0.5,-9999]", logprobs.GetProperty("token_logprobs").GetRawText());
        Assert.Equal(
            "[{\" there\":-0.5,\" was\":-1},{\" there\":-0.25,\" was\":-9999}]",
            logprobs.GetProperty("top_logprobs").GetRawText());
        Assert.Equal("[0,6]", logprobs.GetProperty("text_offset").GetRawText());
    }

    [Fact]
    public async Task Choice_that_fails_ends_the_others()
    {
        await using var server = await ApiServer.StartAsync();
        using var stream = await server.StreamAsync("""{"prompt": "Once", "n": 2, "stream": true}""");
        server.Cluster.Feed(new RequestId("cmpl-2"), new TokenBatch(0, [], FinishReason.Failed, "it is cursed"));

        var events = await stream.RestAsync();

        Assert.Contains("it is cursed", events[^1].Data, StringComparison.Ordinal);
        Assert.Equal("error", events[^1].Event);
        Assert.Equal(new RequestId("cmpl-1"), await server.Cluster.NextCancelledAsync(Cancel));
    }

    [Fact]
    public async Task Clients_own_id_comes_back()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Words));
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent("""{"prompt": "Once"}""", System.Text.Encoding.UTF8, "application/json"),
        };
        request.Headers.Add("X-Request-Id", "mine-1");

        using var response = await server.Client.SendAsync(request, Cancel);

        Assert.Equal("mine-1", Assert.Single(response.Headers.GetValues("X-Request-Id")));
        Assert.Equal("cmpl-1", Assert.Single(response.Headers.GetValues("X-SpotServe-Request-Id")));
    }

    [Theory]
    [InlineData("""{"prompt": "Once", "stop": " was", "include_stop_str_in_output": true}""", " there was")]
    [InlineData("""{"prompt": "Once", "stop": " was"}""", " there")]
    [InlineData("""{"prompt": "Once", "stop": " was", "min_tokens": 3}""", " there was a")]
    public async Task Stop_text_is_shown_when_asked_and_not_looked_for_before_the_least_tokens(
        string json, string text)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Words));

        var (_, body) = await server.PostAsync(json);

        Assert.Equal(text, body.GetProperty("choices")[0].GetProperty("text").GetString());
    }

    private static TokenBatch Batch(int index, int token, TokenLogprobs logprobs) =>
        new(index, [token], null, null) { Logprobs = [logprobs] };
}
