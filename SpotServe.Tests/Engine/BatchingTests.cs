using SpotServe.Actors;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

[Collection("Engine")]
public sealed class BatchingTests
{
    private static readonly string Tinystories = Checkout.Of("SpotServe.Seed", "models", "tinystories-4m");

    private static readonly int[][] Prompts =
        [.. Enumerable.Range(0, 12).Select(i => MadePrompt(i, length: 1 + (i * 7 % 40)))];

    [Fact]
    public void Sequence_gives_the_same_tokens_in_a_batch_as_alone()
    {
        using var harness = new ReplicaHarness(Tinystories, stages: 2, ranks: 2);

        var together = harness.Generate(Prompts, 12, chunkMax: 11, Sampling);

        for (var i = 0; i < Prompts.Length; i++)
            Assert.Equal(harness.Generate([Prompts[i]], 12, sampling: _ => Sampling(i))[0], together[i]);

        static SamplingParameters Sampling(int i) =>
            i % 2 == 0 ? SamplingParameters.Greedy : new SamplingParameters(0.8f, 0.9f, 40, (ulong)i);
    }

    [Fact]
    public void Prefill_and_decode_in_one_step_do_not_disturb_each_other()
    {
        using var harness = new ReplicaHarness(Tinystories, stages: 1, ranks: 1);
        var alone = Prompts.Select(prompt => harness.Generate([prompt], 10)[0]).ToArray();
        var sequences = Prompts.Select((prompt, i) => new TestSequence(
            prompt, SamplingParameters.Greedy, Enumerable.Range(i * 8, 8))).ToArray();

        // One sequence more each step: those before it decode while it prefills, at the front and in between.
        for (var active = 1; active <= sequences.Length; active++)
            harness.Step([.. sequences.Take(active).OrderBy(s => s.Tokens[0] % 5)]);

        for (var i = 0; i < sequences.Length; i++)
        {
            var drawn = sequences[i].Tokens.Skip(Prompts[i].Length).Take(10).ToArray();
            Assert.Equal(alone[i][..drawn.Length], drawn);
        }
    }

    [Theory]
    [InlineData(8, 4, 1, 2)]
    [InlineData(8, 4, 2, 8)]
    [InlineData(12, 4, 1, 3)]
    [InlineData(12, 4, 2, 6)]
    [InlineData(6, 3, 1, 2)]
    public void Uneven_cuts_give_the_logits_of_one_rank(int heads, int kvHeads, int stages, int ranks)
    {
        // Vocabulary and intermediate size are prime; kv heads are shared, split and straddled by ranks.
        var folder = MadeModel(heads, kvHeads, vocabulary: 211, intermediate: 101);
        using var one = new ReplicaHarness(folder, stages: 1, ranks: 1);
        using var many = new ReplicaHarness(folder, stages, ranks);
        int[] prompt = [5, 210, 0, 17, 99, 3, 180, 44, 7, 7, 7, 12, 200, 199, 1, 2, 3, 4];

        var expected = one.Generate([prompt, [1, 2]], 6);
        var actual = many.Generate([prompt, [1, 2]], 6, chunkMax: 4);

        Assert.Equal(expected, actual);
        Assert.True(one.Logits[0].Zip(many.Logits[0], (a, b) => Math.Abs(a - b)).Max() < 1e-3);
    }

    [Fact]
    public void Step_refuses_a_plan_beyond_its_bounds()
    {
        using var harness = new ReplicaHarness(Tinystories, stages: 1, ranks: 1);

        Assert.Throws<InvariantException>(() => Run([2048], [0]));
        Assert.Throws<InvariantException>(() => Run([1], [ReplicaHarness.PageCount]));
        Assert.Throws<InvariantException>(() => Run(new int[257], [.. Enumerable.Range(0, 17)]));

        void Run(int[] tokens, int[] pages) =>
            harness.Step([new TestSequence(tokens, SamplingParameters.Greedy, pages)], chunkMax: 1000);
    }

    private static int[] MadePrompt(int seed, int length) =>
        [.. Enumerable.Range(0, length).Select(i => 2 + (((seed * 31) + (i * 17)) % 2000))];

    private static string MadeModel(int heads, int kvHeads, int vocabulary, int intermediate) => new MadeLlama
    {
        Vocabulary = vocabulary,
        Hidden = 48,
        Heads = heads,
        KvHeads = kvHeads,
        Intermediate = intermediate,
    }.Write();
}
