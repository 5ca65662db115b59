using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>What an engine says of a prompt's tokens, beside the logits that it gives after each of the prompt's
/// beginnings.</summary>
[Collection("Engine")]
public sealed class PromptScoreEngineTests
{
    private const int Top = 4;
    private const double Tolerance = 1e-3;
    private static readonly string Tinystories = Checkout.Of("SpotServe.Seed", "models", "tinystories-4m");
    private static readonly int[] Prompt = [.. GoldenValues.Load(Tinystories).Cases[0].Prompt, 300, 12, 393, 394, 17];

    [Theory]
    [InlineData(1, 1, 256)]
    [InlineData(1, 1, 3)]
    [InlineData(1, 1, 1)]
    [InlineData(2, 2, 5)]
    public void Scores_are_those_of_the_logits_after_each_beginning_on_all_layouts_in_chunks_of_all_lengths(
        int stages, int ranks, int chunk)
    {
        using var harness = new ReplicaHarness(Tinystories, stages, ranks);
        var scored = new TestSequence(Prompt, SamplingParameters.Greedy, Enumerable.Range(0, 8)) { Scores = Top };

        while (scored.Tokens.Count == Prompt.Length) harness.Step([scored], chunk);

        Assert.Equal(Prompt.Length - 1, scored.PromptLogprobs.Count);
        for (var end = 1; end < Prompt.Length; end++)
        {
            var logits = LogitsAfter(harness, Prompt[..end]);
            var normaliser = Math.Log(logits.Sum(logit => Math.Exp((double)logit)));
            var score = scored.PromptLogprobs[end - 1];
            Assert.Equal(logits[Prompt[end]] - normaliser, score.Logprob, Tolerance);
            // Logits that are as good as equal may stand in either order.
            Assert.InRange(
                score.Rank!.Value,
                1 + logits.Count(logit => logit > logits[Prompt[end]] + Tolerance),
                1 + logits.Count(logit => logit > logits[Prompt[end]] - Tolerance));
            var likeliest = logits.OrderDescending().Take(Top).ToArray();
            for (var i = 0; i < Top; i++) Assert.Equal(likeliest[i] - normaliser, score.Top[i].Logprob, Tolerance);
        }
    }

    private static float[] LogitsAfter(ReplicaHarness harness, int[] prompt)
    {
        harness.Step([new TestSequence(prompt, SamplingParameters.Greedy, Enumerable.Range(10, 8))]);
        return harness.Logits[0];
    }
}
