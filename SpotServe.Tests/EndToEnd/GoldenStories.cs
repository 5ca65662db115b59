using System.Text.Json;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>The bundled model's greedy continuations, cut at the first step where rounding may decide.</summary>
internal static class GoldenStories
{
    private const double GapMin = 1e-3;

    /// <param name="Tokens">Tokens that every layout must reproduce.</param>
    /// <param name="Text">Text of the whole golden continuation, of which <paramref name="Tokens"/> is a
    /// prefix.</param>
    internal sealed record Story(string Prompt, int[] PromptIds, int[] Tokens, string Text, bool IsWhole)
    {
        /// <summary>Whether an answer of Tokens.Length tokens is the golden one.</summary>
        public bool Matches(string answer) =>
            IsWhole ? answer == Text : answer.Length > 0 && Text.StartsWith(answer, StringComparison.Ordinal);
    }

    public static IReadOnlyList<Story> Load()
    {
        var path = Path.Combine(AppContext.BaseDirectory, "models", "tinystories-4m", "golden.json");
        using var golden = JsonDocument.Parse(File.ReadAllBytes(path));
        return [.. golden.RootElement.GetProperty("cases").EnumerateArray().Select(Read)];
    }

    /// <summary>Fails when a cluster tells a story otherwise, streamed or not.</summary>
    /// <param name="layout">For the message.</param>
    public static Task AssertToldAsync(HttpClient http, string layout) => Task.WhenAll(Load().Select(async story =>
    {
        // All at once: the layouts with eight processes on two cores are slow, and batches must not matter.
        var answers = await Task.WhenAll(
            Completions.WholeAsync(http, story.Prompt, story.Tokens.Length),
            Completions.StreamedAsync(http, story.Prompt, story.Tokens.Length));

        Assert.True(story.Matches(answers[0]), $"({layout}) expected: {story.Text}\nbut was: {answers[0]}");
        Assert.Equal(answers[0], answers[1]);
    }));

    private static Story Read(JsonElement story)
    {
        var tokens = Ints(story.GetProperty("greedy_ids"));
        var gaps = story.GetProperty("gaps").EnumerateArray().Select(gap => gap.GetDouble()).ToArray();
        var sure = gaps.TakeWhile(gap => gap >= GapMin).Count();
        return new Story(
            story.GetProperty("prompt").GetString()!,
            Ints(story.GetProperty("prompt_ids")),
            tokens[..Math.Min(sure, tokens.Length)],
            story.GetProperty("text").GetString()!,
            sure >= tokens.Length);
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];
}
