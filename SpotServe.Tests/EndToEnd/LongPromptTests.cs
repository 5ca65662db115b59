using System.Diagnostics;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SpotServe.Tests.Chaos;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>
/// Prompts that are longer than a frame between processes, through the one command: what the API admits is generated,
/// goes on after a kill, and after all processes were lost. What prompts have in common is computed once, before and
/// after a change of layout.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class LongPromptTests(ITestOutputHelper output)
{
    private const int PromptTokens = 41_000;   // of three bytes each; a frame has 120,000
    private const int CompletionTokens = 24;
    private const int PiecesBeforeTheKill = 3;
    private const int Detached = 3;

    /// <summary>As many completions as one request here asks for: it finds room only when all before it have
    /// ended.</summary>
    private const int OpenRequestsMax = SharedPrefixes.Completions;

    private static readonly TimeSpan Limit = Waits.Max;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Prompt_longer_than_a_frame_is_continued_after_a_kill_and_after_a_restart_of_everything()
    {
        var data = Directory.CreateTempSubdirectory("spotserve-long-").FullName;
        string[] arguments =
        [
            "--port", "0", "--nodes", "2", "--layout", "1,2,1", "--model", LongContextModel.Write(), "--data", data,
            "--open-requests-max", $"{OpenRequestsMax}",
        ];
        var prompts = Enumerable.Range(0, Detached).Select(Prompt).ToArray();
        string continued;
        List<string> ids = [];
        var started = Stopwatch.GetTimestamp();
        await using (var first = SeedProcess.Begin(arguments))
        {
            using var http = await first.ReadyAsync();
            continued = await ReadAsync(http, prompts[0], pieces =>
            {
                if (pieces == PiecesBeforeTheKill) SeedProcess.Signal(first.NodeIds()[0], "KILL");
            });
            Say("continued after a kill");
            foreach (var prompt in prompts) ids.Add(await DetachAsync(http, prompt));
            first.Kill();
            Say("accepted");
        }

        await using var second = SeedProcess.Begin(arguments);
        using var again = await second.ReadyAsync();
        var texts = await Task.WhenAll(ids.Select(id => EndAsync(again, id))).WaitAsync(Limit, Cancel);
        Say("read after a restart of everything");

        // The same prompt, by other processes and with nothing lost on its way.
        Assert.Equal(texts[0], continued);
        Assert.Equal(Detached, texts.Where(text => text.Length > 0).Distinct().Count());
        // None of them is open any more: there is room for as many as may be.
        await SharedPrefixes.AssertComputedOnceAsync(again, number: 10);
        Say("prefixes were computed once");
        using (var answer = await again.PostAsJsonAsync("/admin/layout", new { layout = "1,1,2" }, Cancel))
            answer.EnsureSuccessStatusCode();
        await ReconfigurationLine.UntilServingAsync(again, "(1,1,2)");
        await SharedPrefixes.AssertComputedOnceAsync(again, number: 20);
        Say("also on another layout");
        Directory.Delete(data, recursive: true);

        void Say(string what) =>
            output.WriteLine($"{Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s: {what}");
    }

    private static int[] Prompt(int number) =>
    [
        .. Enumerable.Range(0, PromptTokens).Select(
            i => 16_384 + (((i * 7) + (i / 31) + (number * 977)) % (LongContextModel.Vocabulary - 16_384))),
    ];

    private static HttpRequestMessage Ask(int[] prompt, bool isStream) => new(HttpMethod.Post, "/v1/completions")
    {
        Content = JsonContent.Create(new
        {
            prompt,
            max_tokens = CompletionTokens,
            temperature = 0,
            ignore_eos = true,
            stream = isStream,
        }),
    };

    private static async Task<string> ReadAsync(HttpClient http, int[] prompt, Action<int> onPiece)
    {
        using var request = Ask(prompt, isStream: true);
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{response.StatusCode}");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancel));
        var text = new StringBuilder();
        var pieces = 0;
        while (await reader.ReadLineAsync(Cancel) is { } line)
        {
            if (line == "data: [DONE]") return text.ToString();
            if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
            using var json = JsonDocument.Parse(line[6..]);
            Assert.False(json.RootElement.TryGetProperty("error", out var error), error.ToString());
            text.Append(json.RootElement.GetProperty("choices")[0].GetProperty("text").GetString());
            onPiece(++pieces);
        }

        Assert.Fail("the stream ended without [DONE]");
        return "";
    }

    /// <returns>The request's id, once it is accepted.</returns>
    private static async Task<string> DetachAsync(HttpClient http, int[] prompt)
    {
        using var request = Ask(prompt, isStream: true);
        request.Headers.Add("X-SpotServe-Detach", "true");
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        Assert.True(response.IsSuccessStatusCode, $"{response.StatusCode}");
        return response.Headers.GetValues("X-Request-Id").Single();
    }

    /// <summary>The text of a request that has ended.</summary>
    private static async Task<string> EndAsync(HttpClient http, string id)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(250));
        while (true)
        {
            var request = await http.GetFromJsonAsync<JsonElement>($"/v1/requests/{id}", Cancel);
            var status = request.GetProperty("status").GetString();
            Assert.NotEqual("failed", status);
            if (status == "completed") return request.GetProperty("text").GetString()!;
            await timer.WaitForNextTickAsync(Cancel);
        }
    }
}
