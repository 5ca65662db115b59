using System.Net;
using System.Text.Json;
using SpotServe.Seed.Templating;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class ChatTests
{
    private const string Path = "/v1/chat/completions";
    private const string Story = " there was a \"héllo 😀\"";

    private static readonly ChatTemplate Template = ChatTemplate.Of(
        "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}" +
        "{% if add_generation_prompt %}{{ name | default('assistant') }}:{% endif %}" +
        "{% if messages[0].role == 'tool' %}{{ raise_exception('tools come later') }}{% endif %}",
        new Dictionary<string, Value> { ["bos_token"] = Value.Of("<s>") });

    [Fact]
    public async Task Prompt_is_what_the_template_makes_of_the_messages()
    {
        await using var server = await StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Story), FinishReason.Stop);

        var (response, body) = await server.PostAsync(
            """
            {"messages": [{"role": "developer", "content": "Be brief."},
              {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
              {"role": "assistant", "content": null}], "max_completion_tokens": 7}
            """,
            Path);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(
            ApiServer.Ids("<s>system: Be brief.\nuser: a\nb\nassistant: \nassistant:"), server.Cluster.Last.Prompt);
        Assert.Equal(7, server.Cluster.Last.Parameters.TokensMax);
        Assert.Equal("chat.completion", body.GetProperty("object").GetString());
        var choice = body.GetProperty("choices")[0];
        Assert.Equal("assistant", choice.GetProperty("message").GetProperty("role").GetString());
        Assert.Equal(Story, choice.GetProperty("message").GetProperty("content").GetString());
        Assert.Equal("stop", choice.GetProperty("finish_reason").GetString());
        Assert.Equal(
            server.Cluster.Last.Prompt.Length, body.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public async Task Chat_that_is_read_again_by_its_id_is_a_chat_from_the_event_on_that_was_seen_last()
    {
        await using var server = await StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Story), FinishReason.Stop);
        await server.PostAsync("""{"messages": [{"role": "user", "content": "Hi"}]}""", Path);

        using var all = await server.ResumeAsync("cmpl-1", lastSeen: null);
        using var rest = await server.ResumeAsync("cmpl-1", lastSeen: 2);
        var (events, later) = (await all.RestAsync(), await rest.RestAsync());

        Assert.All(events[..^1], one => Assert.Equal(
            "chat.completion.chunk", one.Json.GetProperty("object").GetString()));
        Assert.Equal(Story, string.Concat(events[..^1].Select(Content)));
        Assert.Equal(events.Where(one => one.Id is null or > 2).Skip(1).Select(one => one.Data),
            later.Select(one => one.Data));

        static string Content(SseEvent one) =>
            one.Json.GetProperty("choices")[0].GetProperty("delta").TryGetProperty("content", out var text)
                ? text.GetString()!
                : "";
    }

    [Fact]
    public async Task Without_a_length_the_rest_of_the_context_is_generated()
    {
        await using var server = await StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Story), FinishReason.Stop);

        await server.PostAsync("""{"messages": [{"role": "user", "content": "Hi"}]}""", Path);

        var submitted = server.Cluster.Last;
        Assert.Equal(
            server.Cluster.Status.ContextMax, submitted.Prompt.Length + submitted.Parameters.TokensMax);
    }

    [Fact]
    public async Task Stream_begins_with_the_role_brings_the_text_and_ends_with_usage_when_asked()
    {
        await using var server = await StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Story), FinishReason.Length);

        using var stream = await server.StreamAtAsync(
            Path,
            """
            {"messages": [{"role": "user", "content": "Hi"}], "stream": true, "max_tokens": 50,
              "stream_options": {"include_usage": true}}
            """);
        var events = await stream.RestAsync();

        Assert.Equal("[DONE]", events[^1].Data);
        Assert.Equal(0, events[^2].Json.GetProperty("choices").GetArrayLength());
        Assert.True(events[^2].Json.GetProperty("usage").GetProperty("completion_tokens").GetInt32() > 0);
        var choices = events[..^2].Select(part => part.Json.GetProperty("choices")[0]).ToList();
        Assert.Equal("assistant", choices[0].GetProperty("delta").GetProperty("role").GetString());
        Assert.Equal(Story, string.Concat(choices.Select(TextOf)));
        Assert.Equal("length", choices[^1].GetProperty("finish_reason").GetString());
        Assert.All(
            events[..^1],
            part => Assert.Equal("chat.completion.chunk", part.Json.GetProperty("object").GetString()));
    }

    [Fact]
    public async Task Template_gets_the_options_that_the_request_gives()
    {
        await using var server = await StartAsync();
        server.Cluster.Script = FakeCluster.Tokens(ApiServer.Ids(Story));

        await server.PostAsync(
            """{"messages": [{"role": "user", "content": "Hi"}], "chat_template_kwargs": {"name": "Lily"}}""", Path);

        Assert.Equal(ApiServer.Ids("<s>user: Hi\nLily:"), server.Cluster.Last.Prompt);
    }

    [Theory]
    [InlineData("""{}""", "messages", "is missing")]
    [InlineData("""{"messages": []}""", "messages", "at least 1 message")]
    [InlineData("""{"messages": "Hi"}""", "messages", "must be a list")]
    [InlineData("""{"messages": [7]}""", "messages[0]", "must be an object")]
    [InlineData("""{"messages": [{"content": "x"}]}""", "messages[0].role", "is missing")]
    [InlineData("""{"messages": [{"role": "robot", "content": "x"}]}""", "messages[0].role", "must be one of")]
    [InlineData("""{"messages": [{"role": "user"}]}""", "messages[0].content", "must be a string")]
    [InlineData("""{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}""",
        "messages[0].content", "parts of the form")]
    [InlineData("""{"messages": [{"role": "tool", "content": "x"}]}""", "messages", "tools come later")]
    [InlineData("""{"messages": [{"role": "user", "content": "x"}], "tools": [{}]}""", "tools", "not supported yet")]
    [InlineData("""{"messages": [{"role": "user", "content": "x"}], "tool_choice": "auto"}""",
        "tool_choice", "not supported yet")]
    [InlineData("""{"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}""",
        "response_format", "must be null")]
    [InlineData("""{"messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 5000}""",
        "max_completion_tokens", "the model's limit is 1,024")]
    [InlineData("""{"messages": [{"role": "user", "content": "x"}], "chat_template_kwargs": 1}""",
        "chat_template_kwargs", "must be an object")]
    [InlineData("""{"messages": [{"role": "user", "content": "\ud800"}]}""", "messages[0]", "no valid Unicode")]
    public async Task What_cannot_be_done_is_a_400_that_names_the_field(string json, string field, string problem)
    {
        await using var server = await StartAsync();

        var (response, body) = await server.PostAsync(json, Path);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(field, body.GetProperty("error").GetProperty("param").GetString());
        Assert.Contains(
            problem, body.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Empty(server.Cluster.Submitted);
    }

    [Fact]
    public async Task Model_without_a_template_says_what_to_do()
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.PostAsync(
            """{"messages": [{"role": "user", "content": "Hi"}]}""", Path);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("no_chat_template", body.GetProperty("error").GetProperty("code").GetString());
    }

    private static Task<ApiServer> StartAsync() => ApiServer.StartAsync(chatTemplate: Template);

    private static string? TextOf(JsonElement choice) =>
        choice.GetProperty("delta").TryGetProperty("content", out var text) ? text.GetString() : null;
}
