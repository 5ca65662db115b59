using SpotServe.Actors.Execution;
using SpotServe.Node.Engine.Bench;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>Seeded texts with penalties and log-probabilities do not depend on the layout or on what else is in the
/// step.</summary>
[Collection("Engine")]
public sealed class ShapedSamplingTests
{
    private const int Count = 24;
    private const int Crowd = 64;
    private const int PagesEach = 4;
    private const int PrefillsAtOnce = 16;
    private static readonly string Tinystories = Checkout.Of("SpotServe.Seed", "models", "tinystories-4m");

    [Fact]
    public void Text_and_logprobs_are_the_same_on_all_layouts_alone_and_together()
    {
        var prompts = GoldenValues.Load(Tinystories).Cases.Select(one => one.Prompt).ToArray();
        var alone = prompts.Select((_, i) => Run(1, 1, prompts, i)[0]).ToArray();
        var crowd = Enumerable.Range(0, Crowd).Select(i => prompts[i % prompts.Length]).ToArray();

        // (1,1,1), (1,2,2), and what each replica of (2,1,2) is.
        foreach (var (stages, ranks) in new[] { (1, 1), (2, 2), (1, 2) })
        {
            AssertSame(alone, Run(stages, ranks, prompts));
            AssertSame(alone, Run(stages, ranks, crowd));
        }

        // The penalties do something, or this would prove nothing of them.
        Assert.All(alone, one => Assert.True(
            one.Tokens.Skip(one.Tokens.Count - Count).GroupBy(token => token).All(group => group.Count() <= 4)));
    }

    private static TestSequence[] Run(int stages, int ranks, int[][] prompts, int? only = null)
    {
        using var harness = new ReplicaHarness(
            Tinystories, stages, ranks,
            bounds: new ReplicaBounds(Crowd * PagesEach, ReplicaHarness.StepTokensMax, Crowd));
        var chosen = only is { } index ? [index] : Enumerable.Range(0, prompts.Length).ToArray();
        TestSequence[] sequences =
        [
            .. chosen.Select((number, place) => new TestSequence(
                prompts[number], new SamplingParameters(1, 0.95f, 0, (ulong)number + 5),
                Enumerable.Range(place * PagesEach, PagesEach))
            {
                Shape = tokens => ShapeOf(tokens, prompts[number].Length),
            }),
        ];
        // Together no step would have room for the prompts.
        foreach (var few in sequences.Chunk(PrefillsAtOnce)) harness.Step(few);
        while (sequences.Any(one => one.Logprobs.Count < Count))
            harness.Step([.. sequences.Where(one => one.Logprobs.Count < Count)]);
        return sequences;
    }

    private static int[] ShapeOf(IReadOnlyList<int> tokens, int promptLength)
    {
        var generated = tokens.Skip(promptLength).ToArray();
        var seen = tokens.Distinct().ToDictionary(token => token, token => generated.Count(one => one == token));
        var shape = new List<int>();
        DrawShape.Write(shape, new LogitPenalties(0.02f, 0.5f, 1, 1.3f), 3, seen, [new TokenBias(300, -100)]);
        return [.. shape];
    }

    private static void AssertSame(TestSequence[] expected, TestSequence[] actual)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].Tokens, actual[i].Tokens);
            foreach (var (one, other) in expected[i].Logprobs.Zip(actual[i].Logprobs))
            {
                // A layout adds in another order; what differs is in the last digits.
                Assert.Equal(one.Logprob, other.Logprob, 1e-3f);
                Assert.Equal(one.Top.Length, other.Top.Length);
            }
        }
    }
}
