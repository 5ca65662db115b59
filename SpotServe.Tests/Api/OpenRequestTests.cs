using System.Net;
using System.Text.Json;
using SpotServe.Actors.Gateway;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>Requests that somebody ends or lists, and prompts that the model cannot take.</summary>
public sealed class OpenRequestTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(FinishReason.Cancelled, "cancelled")]
    [InlineData(FinishReason.Length, "completed")]
    [InlineData(FinishReason.Stop, "completed")]
    [InlineData(FinishReason.Failed, "failed")]
    public async Task Deleting_a_request_ends_it_and_says_how_it_ended(FinishReason ending, string status)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Ending = ending;
        using var stream = await server.StreamAsync(
            """{"prompt": "a", "stream": true}""", ("X-SpotServe-Detach", "true"));

        using var response = await server.Client.DeleteAsync("/v1/requests/cmpl-1", Cancel);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        using var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Cancel));
        Assert.Equal("cmpl-1", body.RootElement.GetProperty("id").GetString());
        Assert.Equal(status, body.RootElement.GetProperty("status").GetString());
        Assert.Equal(new RequestId("cmpl-1"), await server.Cluster.NextCancelledAsync(Cancel));
    }

    [Fact]
    public async Task Deleting_what_is_unknown_or_silent_says_so()
    {
        await using var server = await ApiServer.StartAsync();
        using var unknown = await server.Client.DeleteAsync("/v1/requests/cmpl-9", Cancel);
        server.Cluster.IsSilent = true;
        using var silent = await server.Client.DeleteAsync("/v1/requests/cmpl-9", Cancel);

        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, silent.StatusCode);
    }

    [Fact]
    public async Task Operators_see_open_requests_whoever_reads_them()
    {
        await using var server = await ApiServer.StartAsync();
        var at = server.Cluster.AcceptedAt;
        server.Cluster.Open =
        [
            new OpenRequest(new RequestId("cmpl-1"), new OpenRequestProgress(at, 3, 17, 0)),
            new OpenRequest(new RequestId("cmpl-2"), Progress: null),
        ];

        var (_, all) = await server.GetAsync("/admin/requests");
        var (_, one) = await server.GetAsync("/admin/requests?limit=1");

        Assert.True(all.GetProperty("complete").GetBoolean());
        var first = all.GetProperty("requests")[0];
        Assert.Equal("cmpl-1", first.GetProperty("id").GetString());
        Assert.Equal(at.ToUnixTimeSeconds(), first.GetProperty("created").GetInt64());
        Assert.Equal(17, first.GetProperty("completion_tokens").GetInt32());
        Assert.Equal(0, first.GetProperty("readers").GetInt32());
        Assert.Equal(JsonValueKind.Null, all.GetProperty("requests")[1].GetProperty("created").ValueKind);
        Assert.False(one.GetProperty("complete").GetBoolean());
        Assert.Equal(1, one.GetProperty("requests").GetArrayLength());
    }

    [Theory]
    [InlineData("0")]
    [InlineData("1001")]
    [InlineData("-1")]
    [InlineData("many")]
    public async Task A_limit_out_of_range_is_refused(string limit)
    {
        await using var server = await ApiServer.StartAsync();

        var (response, body) = await server.GetAsync($"/admin/requests?limit={limit}");

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("1 to 1000", body.GetProperty("error").GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_list_that_the_journal_does_not_give_is_answered_with_503()
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Open = null;

        var (response, _) = await server.GetAsync("/admin/requests");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.NotNull(response.Headers.RetryAfter);
    }

    [Theory]
    [InlineData("[1, 2000]", "2000", "0 to 1999")]
    [InlineData("[[-1]]", "-1", "0 to 1999")]
    public async Task Token_ids_beyond_the_models_vocabulary_are_refused_whatever_the_tokenizer_knows(
        string prompt, string id, string range)
    {
        var error = await RefusedAsync($$"""{"prompt": {{prompt}}}""", vocabulary: 2000);

        Assert.Contains(id, error);
        Assert.Contains(range, error);
    }

    [Fact]
    public async Task A_text_whose_tokens_the_model_lacks_is_refused_with_token_and_vocabulary()
    {
        var error = await RefusedAsync("""{"prompt": "Once upon"}""", vocabulary: 5);

        Assert.Contains("whose token id is", error);
        Assert.Contains("the model's vocabulary has 5 tokens (0 to 4)", error);
    }

    private static async Task<string> RefusedAsync(string json, int vocabulary)
    {
        await using var server = await ApiServer.StartAsync(vocabulary: vocabulary);
        var (response, body) = await server.PostAsync(json);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("prompt", body.GetProperty("error").GetProperty("param").GetString());
        return body.GetProperty("error").GetProperty("message").GetString()!;
    }
}
