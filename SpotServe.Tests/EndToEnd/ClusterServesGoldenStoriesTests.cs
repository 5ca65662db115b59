using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SpotServe.Tests.Chaos;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>
/// The whole product through real processes: what a user reads is what the model says, on every layout.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class ClusterServesGoldenStoriesTests
{
    /// <summary>One cluster for all layouts: starting one takes longer than all its stories.</summary>
    [Theory]
    [InlineData(4, new[] { "1,2,2", "1,1,1", "2,1,1", "1,2,1", "1,4,1", "1,1,2", "1,1,4", "2,1,2" })]
    [InlineData(8, new[] { "1,8,1", "1,1,8" })]
    public async Task Stories_equal_the_golden_ones_streamed_or_not(int nodes, string[] layouts)
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--fleet", "none", "--nodes", $"{nodes}", "--layout", layouts[0]);
        await using var _ = seed;
        using var client = http;

        foreach (var layout in layouts)
        {
            using var answer = await http.PostAsJsonAsync(
                "/admin/layout", new { layout }, TestContext.Current.CancellationToken);
            answer.EnsureSuccessStatusCode();
            await ReconfigurationLine.UntilServingAsync(http, $"({layout})");
            await AssertGoldenAsync(http, layout);
        }
    }

    [Fact]
    public async Task Sixty_four_requests_at_once_get_what_each_gets_alone()
    {
        var (seed, http) = await SeedProcess.StartAsync("--port", "0", "--nodes", "4", "--layout", "1,2,2");
        await using var _ = seed;
        using var client = http;
        var stories = GoldenStories.Load();
        var asked = Enumerable.Range(0, 64)
            .Select(i => (stories[i % stories.Count].Prompt, Tokens: 8 + (i * 37 % 60)))
            .ToArray();
        var alone = new Dictionary<(string, int), string>();
        foreach (var one in asked.Distinct()) alone[one] = await Completions.WholeAsync(http, one.Prompt, one.Tokens);

        var together = await Task.WhenAll(asked.Select(one => Completions.StreamedAsync(http, one.Prompt, one.Tokens)));

        Assert.Equal(asked.Select(one => alone[one]), together);
    }

    private static Task AssertGoldenAsync(HttpClient http, string layout) =>
        Task.WhenAll(GoldenStories.Load().Select(async story =>
        {
            // All at once: the layouts with eight processes on two cores are slow, and batches must not matter.
            var answers = await Task.WhenAll(
                Completions.WholeAsync(http, story.Prompt, story.Tokens.Length),
                Completions.StreamedAsync(http, story.Prompt, story.Tokens.Length));

            Assert.True(story.Matches(answers[0]), $"({layout}) expected: {story.Text}\nbut was: {answers[0]}");
            Assert.Equal(answers[0], answers[1]);
        }));
}

/// <summary>One cluster at a time: they would fight for the two cores.</summary>
[CollectionDefinition(nameof(OneClusterAtATime), DisableParallelization = true)]
public sealed class OneClusterAtATime;

/// <summary>Completion requests as a client makes them.</summary>
internal static class Completions
{
    public static async Task<string> WholeAsync(HttpClient http, string prompt, int tokens)
    {
        using var response = await http.PostAsJsonAsync(
            "/v1/completions",
            new { prompt, max_tokens = tokens, temperature = 0, ignore_eos = true },
            TestContext.Current.CancellationToken);
        var body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(response.IsSuccessStatusCode, body);
        using var json = JsonDocument.Parse(body);
        return json.RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
    }

    public static async Task<string> StreamedAsync(HttpClient http, string prompt, int tokens)
    {
        var text = new StringBuilder();
        await foreach (var piece in PiecesAsync(http, prompt, tokens)) text.Append(piece);
        return text.ToString();
    }

    /// <summary>The text pieces of a streamed completion as they arrive.</summary>
    public static async IAsyncEnumerable<string> PiecesAsync(HttpClient http, string prompt, int tokens)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = JsonContent.Create(
                new { prompt, max_tokens = tokens, temperature = 0, ignore_eos = true, stream = true }),
        };
        using var response = await http.SendAsync(
            request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        response.EnsureSuccessStatusCode();
        using var reader = new StreamReader(
            await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        while (await reader.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal)) continue;
            if (line == "data: [DONE]") yield break;
            using var json = JsonDocument.Parse(line[6..]);
            Assert.False(json.RootElement.TryGetProperty("error", out var error), error.ToString());
            yield return json.RootElement.GetProperty("choices")[0].GetProperty("text").GetString()!;
        }

        Assert.Fail($"the stream of \"{prompt}\" ended without [DONE]");
    }
}
