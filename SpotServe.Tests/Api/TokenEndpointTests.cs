using System.Net;
using System.Text.Json;
using SpotServe.Tests.Tokenization;
using Xunit;

namespace SpotServe.Tests.Api;

public sealed class TokenEndpointTests
{
    private const string Text = "Once upon a time, 😀 é.";

    [Fact]
    public async Task Tokenize_gives_the_ids_of_a_prompt_and_detokenize_its_text()
    {
        await using var server = await ApiServer.StartAsync();
        var expected = TokenizerFiles.Bundled.Encode(Text, addSpecialTokens: true);

        var (_, there) = await server.PostAsync(
            $$"""{"model": "{{ApiServer.Model}}", "prompt": "{{Text}}", "return_token_strs": true}""", "/tokenize");
        var ids = there.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32()).ToArray();
        var (_, back) = await server.PostAsync($$"""{"tokens": [{{string.Join(',', ids)}}]}""", "/detokenize");

        Assert.Equal(expected, ids);
        Assert.Equal(expected.Count, there.GetProperty("count").GetInt32());
        Assert.Equal(server.Cluster.Status.ContextMax, there.GetProperty("max_model_len").GetInt32());
        Assert.Equal(expected.Count, there.GetProperty("token_strs").GetArrayLength());
        Assert.Equal(
            TokenizerFiles.Bundled.Decode([.. expected], skipSpecialTokens: false),
            back.GetProperty("prompt").GetString());
    }

    [Theory]
    [InlineData("/tokenize", "{}", "prompt")]
    [InlineData("/tokenize", """{"prompt": 7}""", "prompt")]
    [InlineData("/tokenize", """{"prompt": "a", "messages": []}""", "prompt")]
    [InlineData("/tokenize", """{"prompt": "a", "add_special_tokens": 1}""", "add_special_tokens")]
    [InlineData("/tokenize", """{"messages": []}""", "messages")]
    [InlineData("/detokenize", "{}", "tokens")]
    [InlineData("/detokenize", """{"tokens": [-1]}""", "tokens")]
    [InlineData("/detokenize", """{"tokens": [1000000]}""", "tokens")]
    [InlineData("/detokenize", """{"tokens": ["a"]}""", "tokens")]
    public async Task What_cannot_be_read_is_refused_by_the_fields_name(string path, string json, string field)
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.PostAsync(json, path);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(field, body.GetProperty("error").GetProperty("param").GetString());
    }

    [Theory]
    [InlineData("/tokenize")]
    [InlineData("/detokenize")]
    public async Task Body_that_is_no_JSON_is_415_and_GET_is_405(string path)
    {
        await using var server = await ApiServer.StartAsync();
        using var form = new StringContent("prompt=a");

        using var posted = await server.Client.PostAsync(path, form, TestContext.Current.CancellationToken);
        using var got = await server.Client.GetAsync(path, TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.UnsupportedMediaType, posted.StatusCode);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, got.StatusCode);
    }

    [Fact]
    public async Task Version_has_three_numbers()
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.GetAsync("/version");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(JsonValueKind.String, body.GetProperty("version").ValueKind);
        Assert.Matches(@"^\d+\.\d+\.\d+$", body.GetProperty("version").GetString());
    }
}
