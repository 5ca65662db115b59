using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using SpotServe.Seed.Api;
using SpotServe.Seed.Templating;
using SpotServe.Tests.Api;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Fuzz;

/// <summary>The HTTP interface: whatever is sent, the answer is none of a server that failed, and the next client is
/// served. Bodies are those of clients, changed.</summary>
internal sealed class HttpTarget : FuzzTarget
{
    private static readonly string[] Paths =
    [
        "/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize", "/v1/requests/cmpl-1", "/v1/models",
        "/admin/layout", "/admin/fleet", "/admin/objective", "/admin/nodes/a/preempt", "/metrics", "/ready", "/",
    ];

    private static readonly string[] Methods = ["POST", "POST", "POST", "GET", "DELETE", "HEAD", "PUT", "OPTIONS"];

    private readonly ApiServer _server;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private HttpTarget(ApiServer server) => _server = server;

    public override IReadOnlyList<byte[]> Corpus { get; } =
    [
        .. Directory.GetFiles(Checkout.Of("SpotServe.Tests", "Api", "Recorded")).Order().SelectMany(Bodies),
        Bytes("""{"tokens":[1,393,394]}"""),
        Bytes("""{"prompt":"Once","return_token_strs":true}"""),
        Bytes("""{"layout":"1,2,2"}"""),
    ];

    public override IReadOnlyList<string> Words { get; } =
    [
        .. GenerationFields.Known, "messages", "role", "content", "tool", "developer", "echo", "best_of", "logprobs",
        "top_logprobs", "suffix", "tools", "chat_template_kwargs", "add_generation_prompt", "include_usage", "type",
        "text", "layout", "machines", "objective", "tokens", "\"", "\\u", "{", "]",
    ];

    public static async Task<FuzzTarget> StartAsync()
    {
        var template = ChatTemplate.Of(
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", new Dictionary<string, Value>());
        var server = await ApiServer.StartAsync(chatTemplate: template);
        server.Cluster.Script = FakeCluster.Tokens([300, 301]);
        return new HttpTarget(server);
    }

    public override async Task TakeAsync(byte[] input, Random random)
    {
        var path = random.Next(4) == 0 ? Paths[random.Next(Paths.Length)] : Paths[random.Next(2)];
        using var request = new HttpRequestMessage(new HttpMethod(Methods[random.Next(Methods.Length)]), path);
        request.Content = new ByteArrayContent(input);
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(
            random.Next(20) == 0 ? "text/plain" : "application/json");
        using var response = await _server.Client.SendAsync(request, Cancel);
        var answer = await response.Content.ReadAsStringAsync(Cancel);
        if ((int)response.StatusCode >= 500 && response.StatusCode != HttpStatusCode.ServiceUnavailable)
            throw new FuzzException($"{request.Method} {path} was answered {response.StatusCode}: {answer}");
        if (answer.Contains("   at ", StringComparison.Ordinal))
            throw new FuzzException($"{request.Method} {path} was answered with a stack: {answer}");
        if (response.Content.Headers.ContentType?.MediaType == "application/json" && answer.Length > 0)
            JsonDocument.Parse(answer).Dispose();
    }

    public override async Task CheckAsync()
    {
        using var content = new ByteArrayContent(Bytes("""{"prompt":"Once","max_tokens":2}"""));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var response = await _server.Client.PostAsync("/v1/completions", content, Cancel);
        if (response.StatusCode != HttpStatusCode.OK)
            throw new FuzzException($"the next client was answered {response.StatusCode}");
    }

    public override async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await base.DisposeAsync();
    }

    private static List<byte[]> Bodies(string file)
    {
        using var recording = JsonDocument.Parse(File.ReadAllBytes(file));
        return
        [
            .. recording.RootElement.GetProperty("exchanges").EnumerateArray()
                .Where(exchange => exchange.TryGetProperty("body", out _))
                .Select(exchange => Bytes(JsonSerializer.Serialize(exchange.GetProperty("body")))),
        ];
    }
}
