using System.Text.Json;
using SpotServe.Tests.Golden;
using Xunit;

namespace SpotServe.Tests.Engine;

[Collection("Engine")]
public sealed class TrainedModelTests
{
    private static readonly string Tinystories = Checkout.Of("SpotServe.Seed", "models", "tinystories-4m");

    [Theory]
    [InlineData(1, 1)]
    [InlineData(4, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 2)]
    [InlineData(8, 1)]
    [InlineData(1, 8)]
    public void Bundled_model_tells_the_reference_stories(int stages, int ranks)
    {
        var golden = GoldenValues.Load(Tinystories);
        using var harness = new ReplicaHarness(Tinystories, stages, ranks);

        var tokens = harness.Generate([.. golden.Cases.Select(c => c.Prompt)], golden.Cases.Max(c => c.Greedy.Length));

        Assert.Equal(4, tokens.Length);
        for (var i = 0; i < tokens.Length; i++)
        {
            var sure = golden.Cases[i].SureTokens;
            Assert.Equal(sure, tokens[i][..sure.Length]);
        }
    }

    [Theory]
    [InlineData(ElementType.BFloat16, false)]
    [InlineData(ElementType.BFloat16, true)]
    [InlineData(ElementType.Float16, false)]
    public void Bundled_model_in_16_bits_begins_the_reference_stories(ElementType type, bool usePlainOperations)
    {
        var golden = GoldenValues.Load(Tinystories);
        using var harness = new ReplicaHarness(
            Tinystories, stages: 2, ranks: 2, type, usePlainOperations: usePlainOperations);

        var tokens = harness.Generate([.. golden.Cases.Select(c => c.Prompt)], 8);

        // Rounding parts from the reference sooner or later; a wrong kernel does so at once.
        for (var i = 0; i < tokens.Length; i++) Assert.Equal(golden.Cases[i].Greedy[..4], tokens[i][..4]);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 8)]
    public void Stories260K_gives_the_tokens_of_llama2c(int stages, int ranks)
    {
        var folder = Checkout.Shared("models", "stories260K");
        var model = Llama2CModel.Convert(Path.Combine(folder, "stories260K.bin"));
        using var harness = new ReplicaHarness(model, stages, ranks);

        AssertTokens(folder, harness);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(1, 8)]
    public void Infinitensor_story_with_its_tie_to_the_head_gives_the_reference_tokens(int stages, int ranks)
    {
        var folder = Checkout.Shared("models", "infinitensor-story");
        using var harness = new ReplicaHarness(folder, stages, ranks);

        AssertTokens(folder, harness);
    }

    [Theory]
    [InlineData("llama-gqa", 1, 1)]
    [InlineData("llama-gqa", 2, 4)]
    [InlineData("llama-mha-sharded", 1, 1)]
    [InlineData("llama-mha-sharded", 4, 2)]
    [InlineData("opt", 1, 1)]
    [InlineData("opt", 2, 4)]
    public void Checkpoint_written_by_transformers_gives_its_logits(string name, int stages, int ranks)
    {
        var folder = Checkout.Shared("hf-checkpoints", name);
        var golden = GoldenValues.Load(folder);
        using var harness = new ReplicaHarness(folder, stages, ranks);

        foreach (var expected in golden.Cases)
        {
            harness.Generate([expected.Prompt], 1);
            Assert.Equal(expected.LastLogits.Length, harness.Logits[0].Length);
            Assert.True(expected.LastLogits.Zip(harness.Logits[0], (e, a) => Math.Abs(e - a)).Max() <= 2e-3);
        }
    }

    private static void AssertTokens(string folder, ReplicaHarness harness)
    {
        using var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        var prompt = Ids("prompt_token_ids");
        var expected = Ids("greedy_token_ids");

        Assert.Equal(expected, harness.Generate([prompt], expected.Length)[0]);

        int[] Ids(string name) =>
            [.. golden.RootElement.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];
    }
}
