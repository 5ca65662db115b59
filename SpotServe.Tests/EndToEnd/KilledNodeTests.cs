using System.Text.RegularExpressions;
using SpotServe.Tests.Chaos;
using Xunit;

namespace SpotServe.Tests.EndToEnd;

/// <summary>A node that is killed without notice costs time, never a token.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed partial class KilledNodeTests(ServingCluster cluster) : IClassFixture<ServingCluster>
{
    private const int Streams = 8;

    /// <summary>Streams begin anew as they end: on a busy machine a client may read of its request when that is over,
    /// and there would be none for the kill to hit.</summary>
    [Fact]
    public async Task Streams_go_on_to_the_text_of_an_undisturbed_run_when_a_node_is_killed()
    {
        using var load = await RunningLoad.StartAsync(cluster.Http, Streams, () => cluster.Seed.Output);

        SeedProcess.Signal(cluster.Seed.NodeIds()[0], "KILL");
        var story = await cluster.Seed.LineAsync(" went on after ");
        await load.EndAsync();

        Assert.Matches(Story(), story);
        Assert.Contains("by signal 9; its log: ", cluster.Seed.Output, StringComparison.Ordinal);
        var record = (await ReconfigurationLine.AllAsync(cluster.Http))[^1];
        Assert.InRange(record.RequestsResumed, 1, Streams);
        Assert.InRange(record.TokensRecomputed, record.RequestsResumed, long.MaxValue);
        Assert.Equal(2, Epochs().Count(cluster.Seed.Output));
    }

    [GeneratedRegex(
        @"^  node \S+ was killed: it closed its connections; \d+ requests? went on after \d+\.\d s; "
        + @"[\d,]+ tokens were computed again$")]
    private static partial Regex Story();

    [GeneratedRegex(@"^  epoch \d+: layout", RegexOptions.Multiline)]
    private static partial Regex Epochs();
}
