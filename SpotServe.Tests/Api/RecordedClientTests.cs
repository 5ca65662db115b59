using System.Net;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;
using SpotServe.Actors.Gateway;
using SpotServe.Seed.Templating;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Api;

/// <summary>
/// What published clients send, written down in Recorded/*.json from their sources, is answered with what they read,
/// and in the form in which they read it: some cut a stream into events by rules of their own.
/// </summary>
public sealed class RecordedClientTests
{
    private const string Story = " there was a dog. \"Héllo 😀\", it said";

    private static readonly ChatTemplate Template = ChatTemplate.Of(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:",
        new Dictionary<string, Value>());

    public static TheoryData<string> Files { get; } = new(
        Directory.GetFiles(Checkout.Of("SpotServe.Tests", "Api", "Recorded")).Order()
            .Select(path => Path.GetFileName(path)));

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Files))]
    public async Task Client_reads_what_it_needs_from_each_answer(string file)
    {
        using var recording = JsonDocument.Parse(
            await File.ReadAllTextAsync(Checkout.Of("SpotServe.Tests", "Api", "Recorded", file), Cancel));
        var client = recording.RootElement;
        await using var server = await ApiServer.StartAsync(chatTemplate: Template);

        foreach (var exchange in client.GetProperty("exchanges").EnumerateArray())
        {
            var name = $"{client.GetProperty("client")}, {exchange.GetProperty("name")}";
            server.Cluster.Script = Script(exchange);
            using var request = RequestOf(exchange);
            using var response = await server.Client.SendAsync(request, Cancel);
            var answer = await response.Content.ReadAsStringAsync(Cancel);

            Assert.True(response.StatusCode == HttpStatusCode.OK, $"{name}: {response.StatusCode} {answer}");
            if (exchange.TryGetProperty("text", out var text))
                CheckStream(name, client.GetProperty("framing").GetString()!, exchange, text.GetString()!, answer);
            else
                CheckHas(name, JsonDocument.Parse(answer).RootElement, Pointers(exchange, "reads"));
        }
    }

    [Theory]
    [InlineData("blocks")]
    [InlineData("cut-lines")]
    [InlineData("lines")]
    [InlineData("events")]
    public async Task Failure_in_a_stream_is_an_event_that_every_client_can_parse(string framing)
    {
        await using var server = await ApiServer.StartAsync();
        server.Cluster.Script =
            [new TokenBatch(0, [300], null, null), new TokenBatch(1, [], FinishReason.Failed, "no pages are left")];

        using var content = new StringContent(
            """{"prompt": "Once", "stream": true}""", Encoding.UTF8, "application/json");
        using var response = await server.Client.PostAsync("/v1/completions", content, Cancel);
        var events = Events(framing, await response.Content.ReadAsStringAsync(Cancel));

        var error = events[^1].GetProperty("error");
        Assert.Contains("no pages are left", error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Equal("request_failed", error.GetProperty("code").GetString());
    }

    private static void CheckStream(string name, string framing, JsonElement exchange, string text, string answer)
    {
        var events = Events(framing, answer);
        var usage = Pointers(exchange, "usage");
        Assert.True(answer.TrimEnd().EndsWith("data: [DONE]", StringComparison.Ordinal), $"{name}: {answer}");
        Assert.Equal(Story, string.Concat(events.Select(one => At(one, text)?.GetString())));
        CheckHas(name, events[0], Pointers(exchange, "first"));
        foreach (var one in events) CheckHas(name, one, Pointers(exchange, "each"));
        if (usage.Count == 0) return;
        CheckHas(name, events[^1], usage);
        // Counts that come with a choice would be taken for one more token.
        Assert.Equal(0, events[^1].GetProperty("choices").GetArrayLength());
    }

    /// <summary>The events of a stream's body, cut as a client cuts it. What a client cannot parse fails here as it
    /// would there.</summary>
    private static List<JsonElement> Events(string framing, string body)
    {
        const string prefix = "data: ";
        IEnumerable<string> data = framing switch
        {
            // At empty lines; what is left is JSON once the prefix is off.
            "blocks" => body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
                .Select(block => block.Trim())
                .Select(block => block.StartsWith(prefix, StringComparison.Ordinal) ? block[prefix.Length..] : block),
            // Every line loses as many characters as the prefix has.
            "cut-lines" => body.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line[prefix.Length..]),
            "lines" => body.Split('\n')
                .Where(line => line.StartsWith("data:", StringComparison.Ordinal))
                .Select(line => line["data:".Length..].Trim()),
            "events" => SseParser.Create(new MemoryStream(Encoding.UTF8.GetBytes(body))).Enumerate()
                .Select(item => item.Data),
            _ => throw new ArgumentOutOfRangeException(nameof(framing), framing, "There is no such framing."),
        };
        return [.. data.Where(one => one != "[DONE]").Select(one => JsonDocument.Parse(one).RootElement)];
    }

    private static HttpRequestMessage RequestOf(JsonElement exchange)
    {
        var request = new HttpRequestMessage(
            new HttpMethod(exchange.GetProperty("method").GetString()!), exchange.GetProperty("path").GetString());
        if (exchange.TryGetProperty("body", out var body))
            request.Content = new StringContent(body.GetRawText(), Encoding.UTF8, "application/json");
        if (!exchange.TryGetProperty("headers", out var headers)) return request;
        foreach (var header in headers.EnumerateObject())
            request.Headers.TryAddWithoutValidation(header.Name, header.Value.GetString());
        return request;
    }

    /// <summary>The story's tokens, with log-probabilities where the exchange asks for them, as the cluster
    /// does.</summary>
    private static System.Collections.Immutable.ImmutableArray<TokenBatch> Script(JsonElement exchange)
    {
        var plain = FakeCluster.Tokens(ApiServer.Ids(Story), FinishReason.Stop);
        var wants = exchange.TryGetProperty("body", out var body) && body.TryGetProperty("logprobs", out var logprobs)
            && logprobs.ValueKind is JsonValueKind.True or JsonValueKind.Number;
        return wants
            ? [.. plain.Select(batch => batch with
            {
                Logprobs = [.. batch.Tokens.Select(id => new TokenLogprobs(-0.5f, [new TopToken(id, -0.5f)]))],
            })]
            : plain;
    }

    private static List<string> Pointers(JsonElement exchange, string name) =>
        exchange.TryGetProperty(name, out var pointers)
            ? [.. pointers.EnumerateArray().Select(one => one.GetString()!)]
            : [];

    private static void CheckHas(string name, JsonElement root, List<string> pointers)
    {
        foreach (var pointer in pointers)
            Assert.True(At(root, pointer) is not null, $"{name}: there is no {pointer} in {root}");
    }

    /// <summary>What a JSON pointer leads to; null where nothing is, or null.</summary>
    private static JsonElement? At(JsonElement root, string pointer)
    {
        foreach (var step in pointer.Split('/').Skip(1))
        {
            if (root.ValueKind == JsonValueKind.Array && int.TryParse(step, out var index))
            {
                if (index >= root.GetArrayLength()) return null;
                root = root[index];
            }
            else if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty(step, out root))
            {
                return null;
            }
        }

        return root.ValueKind == JsonValueKind.Null ? null : root;
    }
}
