using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace SpotServe.Tests.Chaos;

/// <summary>
/// A client that does all the time what it should not: sends tokens whose logits are no numbers, token ids that the
/// model does not have, prompts at and beyond the limits, half of a body; reads slowly, goes away, leaves requests
/// behind and ends them. Every answer must be the one that such a client deserves; being busy is one, too.
/// </summary>
internal sealed class PoisonClient(HttpClient http, int poisonToken, int contextMax, Random random)
{
    private readonly ConcurrentQueue<string> _wrong = [];
    private readonly Dictionary<string, int> _done = [];

    /// <summary>Between two things that it does.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromMilliseconds(150);

    /// <summary>Answers that should have been others.</summary>
    public IReadOnlyCollection<string> Wrong => _wrong;

    /// <summary>How often it did what.</summary>
    public string Summary => string.Join(", ", _done.Select(done => $"{done.Value} {done.Key}"));

    /// <summary>How often everything was done that there is to do, at least.</summary>
    public int Rounds => _done.Count < 8 ? 0 : _done.Values.Min();

    public async Task RunAsync(CancellationToken until)
    {
        using var timer = new PeriodicTimer(Pause);
        while (!until.IsCancellationRequested)
        {
            try
            {
                await ActAsync(random.Next(8));
                await timer.WaitForNextTickAsync(until);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (Exception error) when (error is HttpRequestException or IOException or SocketException)
            {
                _wrong.Enqueue($"the server closed on an honest request: {error.Message}");
            }
        }
    }

    private async Task ActAsync(int what)
    {
        switch (what)
        {
            case 0:
                Count("rows that are no numbers");
                await ExpectAsync([1, 2, poisonToken, 3], 20, "not a number", HttpStatusCode.InternalServerError);
                break;
            case 1:
                Count("of them streamed");
                await StreamPoisonAsync();
                break;
            case 2:
                Count("foreign ids");
                await ExpectAsync([1, 2048 + random.Next(99)], 5, "the model's vocabulary", HttpStatusCode.BadRequest);
                break;
            case 3:
                Count("prompts at the limit");
                await ExpectAsync(Prompt(contextMax), 1, "limit", HttpStatusCode.BadRequest);
                await ExpectAsync(Prompt(contextMax - 1), 1, "choices", HttpStatusCode.OK);
                break;
            case 4:
                Count("cut bodies");
                await CutBodyAsync();
                break;
            case 5:
                Count("clients that left");
                await LeaveAsync();
                break;
            case 6:
                Count("slow readers");
                await ReadSlowlyAsync();
                break;
            default:
                Count("requests left behind and ended");
                await DetachAndEndAsync(random.Next(2) == 0);
                break;
        }
    }

    private void Count(string what) => _done[what] = _done.GetValueOrDefault(what) + 1;

    private static int[] Prompt(int tokens) => [.. Enumerable.Range(0, tokens).Select(i => 1 + (i % 1000))];

    private async Task ExpectAsync(int[] prompt, int tokens, string said, HttpStatusCode expected)
    {
        using var response = await http.PostAsJsonAsync(
            "/v1/completions", new { prompt, max_tokens = tokens, temperature = 0, ignore_eos = true });
        var body = await response.Content.ReadAsStringAsync();
        if (IsBusy(response.StatusCode)) return;
        if (response.StatusCode != expected || !body.Contains(said, StringComparison.Ordinal))
            _wrong.Enqueue($"a prompt of {prompt.Length} tokens got {response.StatusCode}: {Shorten(body)}");
    }

    private async Task StreamPoisonAsync()
    {
        using var response = await BeginAsync([1, poisonToken], 20, detached: false);
        var body = await response.Content.ReadAsStringAsync();
        if (IsBusy(response.StatusCode)) return;
        var isError = body.Contains("event: error", StringComparison.Ordinal);
        if (!isError || body.Contains("[DONE]", StringComparison.Ordinal))
            _wrong.Enqueue($"a poisoned stream got {Shorten(body)}");
    }

    private async Task CutBodyAsync()
    {
        using var client = new TcpClient();
        await client.ConnectAsync(http.BaseAddress!.Host, http.BaseAddress.Port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /v1/completions HTTP/1.1\r\nHost: {http.BaseAddress.Authority}\r\n" +
            "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"prompt\": \"Once upon"));
    }

    private async Task LeaveAsync()
    {
        using var response = await BeginAsync(Prompt(5), 100, detached: false);
        if (!response.IsSuccessStatusCode) return;
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        for (var line = 0; line < random.Next(8); line++) await reader.ReadLineAsync();
    }

    private async Task ReadSlowlyAsync()
    {
        using var response = await BeginAsync(Prompt(5), 30, detached: false);
        if (!response.IsSuccessStatusCode) return;
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(40));
        for (var line = 0; line < 20 && await reader.ReadLineAsync() is not null; line++)
            await timer.WaitForNextTickAsync();
    }

    private async Task DetachAndEndAsync(bool isPoison)
    {
        using var response = await BeginAsync(isPoison ? [poisonToken] : Prompt(5), 500, detached: true);
        if (!response.IsSuccessStatusCode) return;
        var id = response.Headers.GetValues("X-Request-Id").Single();
        using var ended = await http.DeleteAsync(new Uri($"/v1/requests/{id}", UriKind.Relative));
        var body = await ended.Content.ReadAsStringAsync();
        if (IsBusy(ended.StatusCode)) return;
        string[] expected = isPoison ? ["failed", "cancelled"] : ["cancelled", "completed"];
        if (!ended.IsSuccessStatusCode || !expected.Contains(StatusOf(body)))
            _wrong.Enqueue($"ending {id} got {ended.StatusCode}: {Shorten(body)}");
    }

    private async Task<HttpResponseMessage> BeginAsync(int[] prompt, int tokens, bool detached)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = JsonContent.Create(new
            {
                prompt,
                max_tokens = tokens,
                temperature = 0,
                ignore_eos = true,
                stream = true,
            }),
        };
        request.Headers.Add("Accept", "text/event-stream");
        if (detached) request.Headers.Add("X-SpotServe-Detach", "true");
        return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    private static bool IsBusy(HttpStatusCode status) =>
        status is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable;

    private static string StatusOf(string body)
    {
        using var json = JsonDocument.Parse(body);
        return json.RootElement.GetProperty("status").GetString()!;
    }

    private static string Shorten(string text) => text.Length <= 300 ? text : text[..300] + "...";
}
