using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>The numbers that the paper and its artifact give, from the artifact's own profiles.</summary>
public sealed class PaperGoldenTests
{
    [Theory]
    [InlineData("6.7B", 1, 4, 5.447)]
    [InlineData("h6144", 3, 4, 14.373)]
    [InlineData("h7168", 2, 8, 17.540)]
    public void Cost_model_gives_table_1_to_three_decimals(string profile, int stages, int ranks, double seconds)
    {
        var table = ProfileTable.Parse(SharedData.Profile(profile));

        Assert.Equal(seconds, PaperSetup.Execution(table, stages, ranks, batch: 1), 3);
    }

    [Theory]
    [InlineData(3, 4, 14.459)]
    [InlineData(2, 8, 12.961)]
    public void Cost_model_gives_the_times_of_batches_of_four(int stages, int ranks, double seconds)
    {
        var table = ProfileTable.Parse(SharedData.Profile("h6144"));
        var shape = ReplicaShape.Even(table.LayerCount, stages, ranks, PaperSetup.T4);

        var cost = new ProfileCostModel(table).Cost(shape, 4, PaperSetup.Load(1), Batching.Fixed);

        Assert.Equal(seconds, cost.Execution(128), 3);
        Assert.Equal((4, 1), (cost.PrefillParts, cost.StepParts));
    }

    [Theory]
    [InlineData(2, 3, 4, 0.553)]
    [InlineData(2, 2, 8, 0.617)]
    [InlineData(3, 3, 4, 0.830)]
    [InlineData(3, 2, 8, 0.926)]
    public void Cost_model_gives_the_throughput_of_batches_of_four(int replicas, int stages, int ranks, double phi)
    {
        var table = ProfileTable.Parse(SharedData.Profile("h6144"));

        Assert.Equal(phi, replicas * 4 / PaperSetup.Execution(table, stages, ranks, batch: 4), 3);
    }

    [Theory]
    [InlineData(0.4, 6, 7, 2, 3, 4, false)]
    [InlineData(0.4, 8, 11, 2, 2, 8, false)]
    [InlineData(0.4, 12, 14, 3, 2, 8, false)]
    [InlineData(0.6, 6, 7, 2, 3, 4, true)]
    [InlineData(0.6, 8, 11, 2, 2, 8, false)]
    [InlineData(0.6, 12, 14, 3, 2, 8, false)]
    [InlineData(0.8, 9, 11, 3, 3, 4, false)]
    [InlineData(0.8, 12, 14, 3, 2, 8, false)]
    public void Controller_chooses_the_papers_layouts_for_gpt_20b(
        double alpha, int nodesFirst, int nodesLast, int replicas, int stages, int ranks, bool overloaded)
    {
        var table = ProfileTable.Parse(SharedData.Profile("h6144"));
        for (var nodes = nodesFirst; nodes <= nodesLast; nodes++)
        {
            var result = PaperSetup.Search(table, 12, alpha, nodes);

            Assert.Equal((replicas, stages, ranks), Degrees(result));
            Assert.Equal(overloaded, result.IsOverloaded);
        }
    }

    [Theory]
    [InlineData("6.7B", 4, 2.0, "7,1,4;8,1,4;9,1,4;5,2,4")]
    [InlineData("h6144", 12, 0.4, "2,3,4;2,2,8;2,2,8;2,2,8")]
    [InlineData("h7168", 16, 0.2, "1,3,8;1,4,8;1,4,8;1,4,8")]
    public void Controller_chooses_the_layouts_of_the_papers_traces_for_seven_to_ten_nodes(
        string profile, int replicaDevicesMin, double alpha, string layouts)
    {
        var table = ProfileTable.Parse(SharedData.Profile(profile));

        var chosen = Enumerable.Range(7, 4)
            .Select(nodes => PaperSetup.Search(table, replicaDevicesMin, alpha, nodes).Chosen.Degrees)
            .Select(d => $"{d.Replicas},{d.Stages},{d.Ranks}");

        Assert.Equal(layouts, string.Join(';', chosen));
    }

    [Theory]
    [InlineData("6.7B", 4, 2.0, 2, 4, 2)]
    [InlineData("h6144", 12, 0.4, 2, 8, 4)]
    [InlineData("h7168", 16, 0.2, 4, 8, 4)]
    public void Controller_gives_the_shapes_that_rerouting_is_fixed_to(
        string profile, int replicaDevicesMin, double alpha, int stages, int ranks, int batch)
    {
        var table = ProfileTable.Parse(SharedData.Profile(profile));

        var chosen = PaperSetup.Search(table, replicaDevicesMin, alpha, nodes: 10).Chosen;

        Assert.Equal((stages, ranks, batch), (chosen.Degrees.Stages, chosen.Degrees.Ranks, chosen.Degrees.BatchSize));
        Assert.Equal((batch, 1), (chosen.Templates[0].Cost.PrefillParts, chosen.Templates[0].Cost.StepParts));
    }

    private static (int, int, int) Degrees(SearchResult result) =>
        (result.Chosen.Degrees.Replicas, result.Chosen.Degrees.Stages, result.Chosen.Degrees.Ranks);
}
