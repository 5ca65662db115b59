using System.ClientModel;
using System.ClientModel.Primitives;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>Clients that people have already use the product: those of npm, by the scripts in the folder "clients", and
/// OpenAI's own for .NET, which has chats alone, and one choice.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ClientTests(ClientCluster cluster) : IClassFixture<ClientCluster>
{
    private const string Model = "tinystories-4m";

    private static readonly ChatMessage[] Messages = [new UserChatMessage("Once upon a time")];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("openai.mjs", 8)]
    [InlineData("ai-sdk.mjs", 6)]
    [InlineData("langchain.mjs", 7)]
    public async Task Client_of_npm_gets_all_that_it_asks_for(string script, int scenarios)
    {
        var passed = await cluster.RunAsync(script);

        Assert.Equal(scenarios, passed.Length);
        Assert.Contains("retriesWhenBusy", passed);
    }

    [Fact]
    public async Task Client_of_dotnet_gets_a_chat_streamed_or_not()
    {
        var models = new OpenAIModelClient(new ApiKeyCredential("unused"), Options());
        var chat = Connect();

        Assert.Equal(Model, Assert.Single((await models.GetModelsAsync(Cancel)).Value).Id);
        ChatCompletion whole = await chat.CompleteChatAsync(Messages, Short(), Cancel);
        var updates = new List<StreamingChatCompletionUpdate>();
        await foreach (var update in chat.CompleteChatStreamingAsync(Messages, Short(), Cancel)) updates.Add(update);

        Assert.Equal(ChatFinishReason.Length, whole.FinishReason);
        Assert.Equal(12, whole.Usage.OutputTokenCount);
        Assert.Equal(
            whole.Content[0].Text, string.Concat(updates.SelectMany(one => one.ContentUpdate).Select(one => one.Text)));
        var usage = updates.Last(one => one.Usage is not null).Usage;
        Assert.Equal(whole.Usage.InputTokenCount, usage.InputTokenCount);
        Assert.Equal(whole.Usage.TotalTokenCount, usage.TotalTokenCount);
        Assert.Equal(ChatFinishReason.Length, updates.Last(one => one.FinishReason is not null).FinishReason);
    }

    [Fact]
    public async Task Client_of_dotnet_gets_log_probabilities()
    {
        var options = Short();
        options.IncludeLogProbabilities = true;
        options.TopLogProbabilityCount = 2;

        ChatCompletion answer = await Connect().CompleteChatAsync(Messages, options, Cancel);

        Assert.NotEmpty(answer.ContentTokenLogProbabilities);
        Assert.All(answer.ContentTokenLogProbabilities, one =>
        {
            Assert.Equal(2, one.TopLogProbabilities.Count);
            Assert.True(one.LogProbability <= one.TopLogProbabilities[0].LogProbability);
        });
    }

    [Fact]
    public async Task Client_of_dotnet_gets_errors_with_their_status()
    {
        var options = Short();
        options.Temperature = 5;

        var hot = await Assert.ThrowsAsync<ClientResultException>(
            () => Connect().CompleteChatAsync(Messages, options, Cancel));
        var other = await Assert.ThrowsAsync<ClientResultException>(
            () => new ChatClient("gpt-4", new ApiKeyCredential("unused"), Options())
                .CompleteChatAsync(Messages, Short(), Cancel));

        Assert.Equal((400, 404), (hot.Status, other.Status));
        Assert.Contains("temperature", hot.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Client_of_dotnet_that_leaves_ends_its_request()
    {
        string? id = null;
        var options = new ChatCompletionOptions { MaxOutputTokenCount = 900 };
        // By itself .NET reads on for up to 2 s, in the hope of an end, before it closes a connection.
        using var handler = new SocketsHttpHandler { MaxResponseDrainSize = 0 };
        using var http = new HttpClient(handler);
        var chat = Connect(transport: new HttpClientPipelineTransport(http));

        await foreach (var update in chat.CompleteChatStreamingAsync(Messages, options, Cancel))
        {
            id = update.CompletionId;
            break;
        }

        Assert.Equal("cancelled", await StatusOfAsync(id!));
    }

    [Fact]
    public async Task Client_of_dotnet_asks_again_when_all_places_are_taken()
    {
        using var release = new Release(cluster.Http);
        await release.TakeAllAsync();
        using var http = new HttpClient(release, disposeHandler: false);
        var chat = Connect(new ClientRetryPolicy(1), new HttpClientPipelineTransport(http));

        ChatCompletion answer = await chat.CompleteChatAsync(Messages, Short(), Cancel);

        Assert.NotEmpty(answer.Content);
        Assert.Equal([HttpStatusCode.TooManyRequests, HttpStatusCode.OK], release.Seen);
    }

    [Fact]
    public async Task Trace_that_a_client_began_has_the_spans_of_all_processes_that_its_request_met()
    {
        const string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions");
        request.Headers.Add("traceparent", $"00-{trace}-00f067aa0ba902b7-01");
        request.Content = JsonContent.Create(new { prompt = "Once", max_tokens = 4 });

        using var response = await cluster.Http.SendAsync(request, Cancel);
        var spans = await cluster.Telemetry.OfTraceAsync(trace, 4);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(
            [("POST /v1/completions", "spotserve-seed"), ("entity", "spotserve-seed"), ("gateway", "spotserve-seed"),
                ("replica", "spotserve-node")],
            spans.Select(span => (span.Name, span.Service)).Order());
        var call = spans.Single(span => span.Parent == "00f067aa0ba902b7");
        Assert.All(spans.Where(span => span != call), span => Assert.Equal(call.Id, span.Parent));
    }

    private static ChatCompletionOptions Short() => new() { MaxOutputTokenCount = 12, Temperature = 0 };

    private ChatClient Connect(ClientRetryPolicy? retries = null, PipelineTransport? transport = null) =>
        new(Model, new ApiKeyCredential("unused"), Options(retries, transport));

    private OpenAIClientOptions Options(ClientRetryPolicy? retries = null, PipelineTransport? transport = null) => new()
    {
        Endpoint = new Uri(cluster.Http.BaseAddress!, "/v1"),
        RetryPolicy = retries ?? new ClientRetryPolicy(0),
        Transport = transport,
    };

    private async Task<string> StatusOfAsync(string id)
    {
        while (true)
        {
            using var json = JsonDocument.Parse(await cluster.Http.GetStringAsync($"/v1/requests/{id}", Cancel));
            var status = json.RootElement.GetProperty("status").GetString()!;
            if (status != "in_progress") return status;
        }
    }

    /// <summary>Holds all places of the cluster until a client is told that they are taken, and gives them back before
    /// it hears so.</summary>
    private sealed class Release(HttpClient cluster) : DelegatingHandler(new SocketsHttpHandler())
    {
        private HttpResponseMessage? _crowd;

        public List<HttpStatusCode> Seen { get; } = [];

        public async Task TakeAllAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
            {
                Content = JsonContent.Create(new
                {
                    prompt = "Once",
                    n = ClientCluster.OpenRequestsMax,
                    max_tokens = 900,
                    ignore_eos = true,
                    stream = true,
                }),
            };
            _crowd = await cluster.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
            _crowd.EnsureSuccessStatusCode();
        }

        protected override async Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var response = await base.SendAsync(request, cancellationToken);
            Seen.Add(response.StatusCode);
            if (response.StatusCode != HttpStatusCode.TooManyRequests) return response;
            foreach (var id in _crowd!.Headers.GetValues("X-SpotServe-Request-Id").Single().Split(", "))
                (await cluster.DeleteAsync($"/v1/requests/{id}", cancellationToken)).Dispose();
            return response;
        }

        protected override void Dispose(bool disposing)
        {
            _crowd?.Dispose();
            base.Dispose(disposing);
        }
    }
}
