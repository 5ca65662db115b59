using System.Net;
using System.Text;
using SpotServe.Seed.Api;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class ValidationTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("""{"prompt": "a", "temperature": 2.5}""", "temperature", "0 to 2; it is 2.5")]
    [InlineData("""{"prompt": "a", "temperature": "hot"}""", "temperature", "it is \"hot\"")]
    [InlineData("""{"prompt": "a", "top_p": 0}""", "top_p", "above 0 and up to 1; it is 0")]
    [InlineData("""{"prompt": "a", "top_k": -2}""", "top_k", "-1 to 2147483647; it is -2")]
    [InlineData("""{"prompt": "a", "seed": 0.5}""", "seed", "it is 0.5")]
    [InlineData("""{"prompt": "a", "max_tokens": 0}""", "max_tokens", "1 to 131072; it is 0")]
    [InlineData("""{"prompt": "a", "max_tokens": 1023}""", "max_tokens", "limit is 1,024")]
    [InlineData("""{"prompt": "a", "n": 0}""", "n", "1 to 128; it is 0")]
    [InlineData("""{"prompt": "a", "n": 3, "best_of": 2}""", "best_of", "at least \"n\"; it is 2")]
    [InlineData("""{"prompt": "a", "best_of": 2, "stream": true}""", "best_of", "in a stream")]
    [InlineData("""{"prompt": ["a", "b"], "n": 65}""", "prompt", "makes 130 completions")]
    [InlineData(
        """{"prompt": "a", "echo": true, "logprobs": 0, "stream": true}""", "echo", "must be false in a stream")]
    [InlineData(
        """{"prompt": "a", "echo": true, "logprobs": 0, "prompt_logprobs": 1}""", "prompt_logprobs", "must be null")]
    [InlineData("""{"prompt": "a", "prompt_logprobs": 21}""", "prompt_logprobs", "20")]
    [InlineData("""{"prompt": "a", "prompt_logprobs": true}""", "prompt_logprobs", "true")]
    [InlineData(
        """{"prompt": "a", "prompt_logprobs": 1, "stream": true}""", "prompt_logprobs", "must be null in a stream")]
    [InlineData("""{"prompt": "a", "response_format": {"type": "json_object"}}""", "response_format", "must be null")]
    [InlineData("""{"prompt": "a", "response_format": "text"}""", "response_format", "must be null")]
    [InlineData("""{"prompt": "a", "logit_bias": {"1": 1, "01": 2}}""", "logit_bias", "token 1 more than once")]
    [InlineData("""{"prompt": "a", "logprobs": 21}""", "logprobs", "0 to 20; it is 21")]
    [InlineData("""{"prompt": "a", "logprobs": true}""", "logprobs", "it is true")]
    [InlineData("""{"prompt": "a", "logit_bias": {"the": 1}}""", "logit_bias", "the key \"the\"")]
    [InlineData("""{"prompt": "a", "logit_bias": {"2048": 1}}""", "logit_bias", "token ids of 0 to 2047")]
    [InlineData("""{"prompt": "a", "logit_bias": {"5": 101}}""", "logit_bias.5", "-100 to 100; it is 101")]
    [InlineData("""{"prompt": "a", "logit_bias": [5]}""", "logit_bias", "must be an object")]
    [InlineData("""{"prompt": "a", "presence_penalty": 3}""", "presence_penalty", "-2 to 2; it is 3")]
    [InlineData("""{"prompt": "a", "frequency_penalty": "1"}""", "frequency_penalty", "it is \"1\"")]
    [InlineData("""{"prompt": "a", "repetition_penalty": 0}""", "repetition_penalty", "above 0 and up to 100")]
    [InlineData("""{"prompt": "a", "min_p": 1.5}""", "min_p", "0 to 1; it is 1.5")]
    [InlineData("""{"prompt": "a", "min_tokens": 17}""", "min_tokens", "0 to 16; it is 17")]
    [InlineData("""{"prompt": "a", "include_stop_str_in_output": 1}""", "include_stop_str_in_output", "true or false")]
    [InlineData("""{"prompt": ["a", 5]}""", "prompt[1]", "it is 5")]
    [InlineData("""{"prompt": ["a", []]}""", "prompt[1]", "at least 1 token")]
    [InlineData("""{"prompt": "a", "stream": "yes"}""", "stream", "true or false")]
    [InlineData("""{"prompt": "a", "stream_options": {"include_usage": true}}""", "stream_options", "\"stream\": true")]
    [InlineData("""{"prompt": "a", "stream": true, "stream_options": 1}""", "stream_options", "must be an object")]
    [InlineData("""{"prompt": "a", "max_tokens": 3.5}""", "max_tokens", "it is 3.5")]
    [InlineData("""{"prompt": "a", "max_tokens": 1e99}""", "max_tokens", "it is 1e99")]
    [InlineData("""{"prompt": "a", "stop": ["1", "2", "3", "4", "5"]}""", "stop", "5 strings; the limit is 4")]
    [InlineData("""{"prompt": "a", "stop": ""}""", "stop", "empty")]
    [InlineData("""{"prompt": "a", "stop": 7}""", "stop", "it is 7")]
    [InlineData("""{"max_tokens": 5}""", "prompt", "missing")]
    [InlineData("""{"prompt": 5}""", "prompt", "it is 5")]
    [InlineData("""{"prompt": []}""", "prompt", "at least 1 token")]
    [InlineData("""{"prompt": [1, 2048]}""", "prompt", "holds 2048 at [1]; token ids are integers of 0 to 2047")]
    [InlineData("""{"prompt": [1, "a"]}""", "prompt", "holds \"a\" at [1]")]
    [InlineData("""{"prompt": "\ud800"}""", "prompt", "surrogate")]
    public async Task Field_out_of_bounds_is_answered_with_its_name_value_and_limit(
        string json, string field, string says)
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.PostAsync(json);

        var error = body.GetProperty("error");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(field, error.GetProperty("param").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.Contains(says, error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Empty(server.Cluster.Submitted);
    }

    [Theory]
    [InlineData("\"top_k\": -1", 0)]
    [InlineData("\"top_k\": 4096", 0)]
    [InlineData("\"top_k\": 5.0", 5)]
    [InlineData("\"max_tokens\": 3.0", 0)]
    [InlineData("\"max_tokens\": null, \"stop\": null, \"stream_options\": null, \"n\": null", 0)]
    [InlineData("\"stream\": true, \"stream_options\": {\"include_obfuscation\": false}", 0)]
    public async Task Request_as_other_servers_take_it_is_taken(string fields, int topK)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens([300]);

        using var content = new StringContent(
            $$"""{"prompt": [1.0], {{fields}}}""", Encoding.UTF8, "application/json");
        using var response = await server.Client.PostAsync("/v1/completions", content, Cancel);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.False(response.Headers.Contains("X-SpotServe-Ignored-Fields"));
        Assert.Equal(topK, server.Cluster.Last.Parameters.Sampling.TopK);
    }

    [Fact]
    public async Task Fields_that_are_not_known_are_named_in_a_header_and_change_nothing()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script = FakeCluster.Tokens([300]);

        var (response, _) = await server.PostAsync(
            """{"prompt": "a", "min_q": 1, "é\n": {}, "stream": false, "stream_options": null}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("min_q, ??", Assert.Single(response.Headers.GetValues("X-SpotServe-Ignored-Fields")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"prompt\": \"a\"")]
    [InlineData("[]")]
    [InlineData("{\"prompt\": \"a\", \"prompt\": \"b\"}")]
    [InlineData("{\"prompt\": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}")]
    public async Task Body_that_is_no_plain_json_object_is_answered_with_400(string json)
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.PostAsync(json);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.NotEmpty(body.GetProperty("error").GetProperty("message").GetString()!);
    }

    [Fact]
    public void As_many_token_ids_as_a_prompt_may_have_fit_a_body_however_they_are_written()
    {
        var options = new ApiOptions();

        Assert.InRange((long)options.PromptTokensMax * " 9999999,\n".Length, 0, options.BodyBytesMax);
    }

    [Fact]
    public async Task Unknown_model_is_answered_with_404_and_the_served_name()
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.PostAsync("""{"model": "gpt-4", "prompt": "a"}""");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("model_not_found", body.GetProperty("error").GetProperty("code").GetString());
        Assert.Contains(
            ApiServer.Model, body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Body_and_prompt_beyond_their_limits_are_refused()
    {
        await using var server = await ApiServer.StartAsync(
            new() { BodyBytesMax = 2048, PromptCharsMax = 100, PromptTokensMax = 20 });

        var (body, _) = await server.PostAsync($$"""{"prompt": "{{new string('a', 4096)}}"}""");
        var (chars, charsError) = await server.PostAsync($$"""{"prompt": "{{new string('a', 101)}}"}""");
        var (tokens, tokensError) = await server.PostAsync($$"""{"prompt": "{{new string('7', 50)}}"}""");

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, body.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, chars.StatusCode);
        Assert.Contains("101 characters; the limit is 100", charsError.ToString(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.BadRequest, tokens.StatusCode);
        Assert.Contains("tokens; the limit is 20", tokensError.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Options_out_of_bounds_are_refused_when_set()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ApiOptions { BodyBytesMax = 10 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new ApiOptions { OpenResponsesMax = 0 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new ApiOptions { SilenceMax = TimeSpan.Zero });
    }
}
