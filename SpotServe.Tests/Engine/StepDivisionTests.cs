using SpotServe.Actors.Execution;
using SpotServe.Node.Engine;
using SpotServe.Node.Engine.Cuda;
using Xunit;

namespace SpotServe.Tests.Engine;

/// <summary>How a step is divided between the decode kernels and those of prompts, and a product into tiles: no GPU is
/// needed for either.</summary>
public sealed class StepDivisionTests
{
    [Fact]
    public void Neighbouring_prompts_share_their_products_and_keep_their_places_in_the_step()
    {
        var division = new StepDivision();

        division.Divide(MixedStep(), new DrawsAll(), together: true);

        Assert.Equal([(0, 0), (9, 2)], division.Columns.ToArray().Select(column => (column.Row, column.Sample!.Value)));
        Assert.Equal(2, division.Prompts.Count);
        var (first, second) = (division.Prompts[0], division.Prompts[1]);
        Assert.Equal((1, 1, 0), (first.FirstRow, first.FirstSample, first.FirstScore));
        Assert.Equal([11, 12, 13, 21, 22, 23, 24, 25], first.Plan.Tokens.ToArray());
        Assert.Equal((1, 4), (first.Plan.SampleCount, first.Plan.ScoredRows.Length));
        Assert.Equal((10, 3, 4), (second.FirstRow, second.FirstSample, second.FirstScore));
        Assert.Equal([41, 42], second.Plan.Tokens.ToArray());
    }

    [Fact]
    public void Each_prompt_is_by_itself_where_rows_of_a_product_are_not_independent()
    {
        var division = new StepDivision();
        division.Divide(MixedStep(), new DrawsAll(), together: true);

        division.Divide(MixedStep(), new DrawsAll(), together: false);

        Assert.Equal([(1, 1, 0), (4, 1, 0), (10, 3, 4)], division.Prompts
            .Select(prompt => (prompt.FirstRow, prompt.FirstSample, prompt.FirstScore)));
        Assert.Equal([3, 5, 2], division.Prompts.Select(prompt => prompt.Plan.TokenCount));
    }

    [Fact]
    public void Tiles_of_a_product_are_cut_so_that_few_blocks_stand_idle()
    {
        const int Multiprocessors = 132;

        // 192 pairs of narrow tiles take three turns of 66, 96 wide ones two of nearly twice the time.
        Assert.Equal("128", ProductTiles.Choose(512, 12_288, Multiprocessors).Name);
        Assert.Equal("256", ProductTiles.Choose(512, 6_144, Multiprocessors).Name);
        Assert.Equal("256", ProductTiles.Choose(2_048, 12_288, Multiprocessors).Name);
        Assert.Equal("Few", ProductTiles.Choose(96, 12_288, Multiprocessors).Name);
        var wide = ProductTiles.Choose(2_048, 12_288, Multiprocessors);
        Assert.Equal(Multiprocessors, wide.Blocks(2_048, 12_288, Multiprocessors));
        Assert.Equal(2, wide.Blocks(256, 256, Multiprocessors));
    }

    /// <summary>A generated token, a prompt of three, one of five that scores and draws, a generated token, a
    /// prompt.</summary>
    private static StepPlan MixedStep()
    {
        var plan = new StepPlan();
        plan.Clear(7);
        Add(start: 40, tokens: [1]);
        Add(start: 0, tokens: [11, 12, 13], samples: false);
        plan.Add(
            0, [21, 22, 23, 24, 25], Pages(5), samples: true, SamplingParameters.Greedy, scores: 1, follower: 0);
        Add(start: 17, tokens: [2]);
        Add(start: 16, tokens: [41, 42]);
        return plan;

        void Add(int start, int[] tokens, bool samples = true) =>
            plan.Add(start, tokens, Pages(start + tokens.Length), samples, SamplingParameters.Greedy);

        int[] Pages(int tokens) => [.. Enumerable.Range(0, KvPage.Count(tokens))];
    }

    private sealed class DrawsAll : ISampler
    {
        public bool Draws(in SequenceChunk chunk) => true;
    }
}
