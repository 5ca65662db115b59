using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>What prompts of a real cluster have in common is computed once, and changes nobody's text.</summary>
internal static class SharedPrefixes
{
    /// <summary>Of one prompt, in one request.</summary>
    public const int Completions = 4;

    private const int PromptTokens = 4_000;
    private const int CommonTokens = 2_000;

    /// <summary>Of the tokens in common, those up to the last place where a chunk of a step's prompt ends with the
    /// defaults.</summary>
    private const int ReusedTokens = 1_920;

    /// <summary>Full pages before the page that each completion has for itself.</summary>
    private const int SharedTokens = PromptTokens - 16;

    private const int AttemptsMax = 2_400;
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(100);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <param name="number">Prompts of another number begin otherwise.</param>
    public static async Task AssertComputedOnceAsync(HttpClient http, int number)
    {
        var before = await HitsAsync(http);
        var four = await AskAsync(http, Prompt(number, PromptTokens, end: 0), Completions);
        // Nodes tell what they counted every few seconds.
        var hits = before + ((Completions - 1) * SharedTokens);
        await UntilHitsAsync(http, hits);
        var first = await AskAsync(http, Prompt(number + 1, CommonTokens + 100, end: 1));
        var second = await AskAsync(http, Prompt(number + 1, CommonTokens + 500, end: 2));

        Assert.Equal((0, ReusedTokens), (first.Cached, second.Cached));
        // A prompt that is scored takes nothing of what is kept, and is computed whole.
        var whole = await AskAsync(http, Prompt(number, PromptTokens, end: 0), completions: 2, scores: true);
        var alone = await AskAsync(http, Prompt(number + 1, CommonTokens + 500, end: 2), scores: true);
        Assert.Equal((0, 0), (whole.Cached, alone.Cached));
        Assert.Equal(Enumerable.Repeat(whole.Texts[0], Completions), four.Texts);
        Assert.Equal(alone.Texts, second.Texts);
        // A prompt is scored with the first of its completions; the other one takes its pages. Nothing is left that
        // could be counted later.
        await UntilHitsAsync(http, hits + ReusedTokens + SharedTokens);
    }

    /// <param name="end">What the prompt goes on with behind what it has in common with others.</param>
    private static int[] Prompt(int number, int tokens, int end) =>
    [
        .. Enumerable.Range(0, tokens).Select(
            i => 1 + (((i * 11) + (i / 37) + (number * 613) + (i < CommonTokens ? 0 : end * 89))
                % (LongContextModel.Vocabulary - 1))),
    ];

    private static async Task<(int Cached, string[] Texts)> AskAsync(
        HttpClient http, int[] prompt, int completions = 1, bool scores = false)
    {
        int? promptLogprobs = scores ? 0 : null;
        using var response = await http.PostAsJsonAsync(
            "/v1/completions",
            new
            {
                prompt,
                n = completions,
                max_tokens = 8,
                temperature = 0,
                ignore_eos = true,
                prompt_logprobs = promptLogprobs,
            },
            Cancel);
        var text = await response.Content.ReadAsStringAsync(Cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        using var body = JsonDocument.Parse(text);
        var choices = body.RootElement.GetProperty("choices").EnumerateArray().ToArray();
        if (scores)
        {
            Assert.All(
                choices, one => Assert.Equal(prompt.Length, one.GetProperty("prompt_logprobs").GetArrayLength()));
        }

        var details = body.RootElement.GetProperty("usage").GetProperty("prompt_tokens_details");
        return (
            details.GetProperty("cached_tokens").GetInt32(),
            [.. choices.Select(one => one.GetProperty("text").GetString()!)]);
    }

    private static async Task UntilHitsAsync(HttpClient http, long wanted)
    {
        using var timer = new PeriodicTimer(Period);
        var hits = 0L;
        for (var attempt = 0; attempt < AttemptsMax; attempt++)
        {
            if ((hits = await HitsAsync(http)) >= wanted) break;
            await timer.WaitForNextTickAsync(Cancel);
        }

        Assert.Equal(wanted, hits);
    }

    private static async Task<long> HitsAsync(HttpClient http)
    {
        var lines = (await http.GetStringAsync("/metrics", Cancel)).Split('\n');
        return lines.Where(line => line.StartsWith("vllm:prefix_cache_hits_total", StringComparison.Ordinal))
            .Sum(line => (long)double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
    }
}
