using System.Collections.Immutable;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

[Collection("Engine")]
public sealed class GoldenModelTests
{
    private const float LogitTolerance = 2e-3f;

    private static readonly (int Stages, int Ranks)[] Layouts =
        [(1, 1), (2, 1), (1, 2), (4, 1), (2, 2), (1, 4), (1, 8), (8, 1)];

    public static TheoryData<string, int, int> ModelsAndLayouts()
    {
        var data = new TheoryData<string, int, int>();
        foreach (var name in Directory.GetDirectories(GoldenModel.Source("")).Select(Path.GetFileName))
        {
            var layers = name == "llama-mha-8-layers" ? 8 : 4;
            foreach (var (stages, ranks) in Layouts.Where(layout => layout.Stages <= layers))
                data.Add(name!, stages, ranks);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(ModelsAndLayouts))]
    public void Golden_model_gives_the_reference_logits_and_tokens(string name, int stages, int ranks)
    {
        using var harness = new ReplicaHarness(GoldenModel.Folder(name), stages, ranks);

        AssertGolden(harness, GoldenValues.Load(GoldenModel.Source(name)));
    }

    [Fact]
    public void Unequal_stages_give_the_reference_logits_and_tokens()
    {
        ImmutableArray<LayerRange> layers = [new(0, 1), new(1, 6), new(6, 8)];
        using var harness = new ReplicaHarness(
            GoldenModel.Folder("llama-mha-8-layers"), stages: 3, ranks: 2, layers: layers);

        AssertGolden(harness, GoldenValues.Load(GoldenModel.Source("llama-mha-8-layers")));
    }

    [Theory]
    [InlineData("llama-gqa", 5)]
    [InlineData("llama3-rope", 16)]
    [InlineData("mistral-sliding", 7)]
    public void Prefill_in_chunks_gives_the_reference_logits_and_tokens(string name, int chunkMax)
    {
        using var harness = new ReplicaHarness(GoldenModel.Folder(name), stages: 2, ranks: 2);

        AssertGolden(harness, GoldenValues.Load(GoldenModel.Source(name)), chunkMax);
    }

    [Theory]
    [InlineData("llama-gqa", 1, 2)]
    [InlineData("qwen3", 2, 1)]
    [InlineData("mistral-sliding", 1, 8)]
    public void Plain_operations_give_the_reference_logits_and_tokens(string name, int stages, int ranks)
    {
        using var harness = new ReplicaHarness(GoldenModel.Folder(name), stages, ranks, usePlainOperations: true);

        AssertGolden(harness, GoldenValues.Load(GoldenModel.Source(name)));
    }

    [Fact]
    public void Prompts_in_one_batch_give_the_reference_tokens()
    {
        var golden = GoldenValues.Load(GoldenModel.Source("llama-gqa"));
        using var harness = new ReplicaHarness(GoldenModel.Folder("llama-gqa"), stages: 2, ranks: 2);

        var tokens = harness.Generate(
            [.. golden.Cases.Select(c => c.Prompt)], golden.Cases.Max(c => c.SureTokens.Length), chunkMax: 9);

        for (var i = 0; i < tokens.Length; i++)
        {
            var sure = golden.Cases[i].SureTokens;
            Assert.Equal(sure, tokens[i][..sure.Length]);
        }
    }

    private static void AssertGolden(
        ReplicaHarness harness, GoldenValues golden, int chunkMax = ReplicaHarness.StepTokensMax)
    {
        Assert.NotEmpty(golden.Cases);
        foreach (var expected in golden.Cases)
        {
            var sequence = new TestSequence(
                expected.Prompt, SamplingParameters.Greedy, Enumerable.Range(3, ReplicaHarness.PageCount - 3));
            while (sequence.Cached < expected.Prompt.Length) harness.Step([sequence], chunkMax);

            AssertClose(expected.LastLogits, harness.Logits[0]);
            var sure = expected.SureTokens;
            while (sequence.Tokens.Count < expected.Prompt.Length + sure.Length) harness.Step([sequence]);
            Assert.Equal(sure, sequence.Tokens.Skip(expected.Prompt.Length).Take(sure.Length));
        }
    }

    private static void AssertClose(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        var worst = expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max();
        Assert.True(worst <= LogitTolerance, $"The worst logit is off by {worst}.");
    }
}
