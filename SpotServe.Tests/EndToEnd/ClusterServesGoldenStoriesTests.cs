using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SpotServe.Seed.Tokenization;
using SpotServe.Tests.Chaos;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>
/// The whole product through real processes: what a user reads is what the model says, on every layout.
/// </summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneServingCluster))]
public sealed class ClusterServesGoldenStoriesTests(ServingCluster cluster)
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Stories_equal_the_golden_ones_streamed_or_not_on_each_layout_of_four_nodes()
    {
        // The last one is that of the cluster's other tests.
        foreach (var layout in (string[])["1,1,1", "2,1,1", "1,2,1", "1,4,1", "1,1,2", "1,1,4", "2,1,2", "1,2,2"])
            await AssertGoldenAsync(cluster.Http, layout);
    }

    [Fact]
    public async Task Sixty_four_requests_at_once_get_what_the_model_says_to_each()
    {
        var tokenizer = TokenizerLoader.Load(SeedProcess.BundledModel);
        var stories = GoldenStories.Load();
        var asked = Enumerable.Range(0, 64)
            .Select(i => (Story: stories[i % stories.Count], Tokens: 8 + (i * 37 % 60)))
            .ToArray();

        var together = await Task.WhenAll(
            asked.Select(one => Completions.StreamedAsync(cluster.Http, one.Story.Prompt, one.Tokens)));

        Assert.Equal(
            asked.Select(one => tokenizer.Decode(one.Story.Tokens.AsSpan(0, one.Tokens), skipSpecialTokens: true)),
            together);
    }

    private static async Task AssertGoldenAsync(HttpClient http, string layout)
    {
        using var answer = await http.PostAsJsonAsync("/admin/layout", new { layout }, Cancel);
        answer.EnsureSuccessStatusCode();
        await ReconfigurationLine.UntilServingAsync(http, $"({layout})");
        await GoldenStories.AssertToldAsync(http, layout);
    }
}

/// <summary>As <see cref="ClusterServesGoldenStoriesTests"/>, with as many nodes as the model has layers.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class EightNodesServeGoldenStoriesTests
{
    [Fact]
    public async Task Stories_equal_the_golden_ones_with_eight_stages_and_with_eight_ranks()
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--fleet", "none", "--nodes", "8", "--layout", "1,8,1");
        await using var _ = seed;
        using var client = http;

        await GoldenStories.AssertToldAsync(http, "1,8,1");
        using var answer = await http.PostAsJsonAsync(
            "/admin/layout", new { layout = "1,1,8" }, TestContext.Current.CancellationToken);
        answer.EnsureSuccessStatusCode();
        await ReconfigurationLine.UntilServingAsync(http, "(1,1,8)");
        await GoldenStories.AssertToldAsync(http, "1,1,8");
    }
}

/// <summary>One cluster at a time: they would fight for the two cores.</summary>
[CollectionDefinition(nameof(OneClusterAtATime), DisableParallelization = true)]
public sealed class OneClusterAtATime;

/// <summary>One cluster for all tests that leave it as they found it, while no other runs.</summary>
[CollectionDefinition(nameof(OneServingCluster), DisableParallelization = true)]
public sealed class OneServingCluster : ICollectionFixture<ServingCluster>;

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
