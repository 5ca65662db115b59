using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>The paper's goldens from excerpts that the tests carry: they hold with nothing beside the
/// checkout.</summary>
public sealed class PaperExcerptTests
{
    [Fact]
    public void Cost_model_gives_table_1_to_three_decimals_from_the_excerpts()
    {
        Assert.Equal(5.447, PaperSetup.Execution(PaperShapes.OptProfile, 1, 4, batch: 1), 3);
        Assert.Equal(14.373, PaperSetup.Execution(PaperShapes.GptProfile, 3, 4, batch: 1), 3);
        Assert.Equal(17.540, PaperSetup.Execution(PaperShapes.LlamaProfile, 2, 8, batch: 1), 3);
    }

    [Theory]
    [InlineData(0.4, "2,3,4 2,3,4 2,2,8 2,2,8 2,2,8 2,2,8 3,2,8 3,2,8 3,2,8")]
    [InlineData(0.6, "2,3,4! 2,3,4! 2,2,8 2,2,8 2,2,8 2,2,8 3,2,8 3,2,8 3,2,8")]
    public void Controller_chooses_the_papers_layouts_for_6_to_14_nodes_from_the_excerpt(double alpha, string layouts)
    {
        var chosen = Enumerable.Range(6, 9).Select(nodes =>
        {
            var result = PaperSetup.Search(PaperShapes.GptProfile, 12, alpha, nodes);
            var d = result.Chosen.Degrees;
            return $"{d.Replicas},{d.Stages},{d.Ranks}{(result.IsOverloaded ? "!" : "")}";
        });

        Assert.Equal(layouts, string.Join(' ', chosen));
    }

    [Fact]
    public void Moving_gpt_20b_from_2_2_8_to_2_3_4_moves_fewer_bytes_than_a_fixed_mapping()
    {
        var geometry = PlanningScenarios.Gpt;
        var fleet = PlanningScenarios.Fleet(8, 4);
        var before = PlanningScenarios.InOrder(geometry, new LayoutDegrees(2, 2, 8, 4), fleet);
        var after = new LayoutDegrees(2, 3, 4, 4);
        var caches = PlanningScenarios.Caches(before.Degrees, tokens: 576, requests: 4);
        var problem = PlanningScenarios.Problem(
            geometry, after, fleet.RemoveRange(6, 2), Holding.All(geometry, before), caches, before);
        var fixedLayout = PlanningScenarios.InOrder(geometry, after, problem.Instances);

        var mapped = Moved(DeviceMapper.Map(problem).Layout);
        var inOrder = Moved(fixedLayout);

        TestContext.Current.TestOutputHelper?.WriteLine(
            "(2,2,8) -> (2,3,4), GPT-20B, 8 nodes -> 6: "
            + $"mapped {Sizes.Text(mapped)}, fixed order {Sizes.Text(inOrder)}: "
            + FormattableString.Invariant($"{100.0 * (inOrder - mapped) / inOrder:0.0} % fewer"));
        Assert.True(mapped < inOrder);

        long Moved(Layout layout) => MigrationPlanner.Plan(new MigrationProblem(
            geometry, layout, problem.Holdings, problem.Inherited, LinkRates.Paper)
        {
            Caches = caches,
            CopyWhileServing = false,
        }).Moved.Total;
    }
}
