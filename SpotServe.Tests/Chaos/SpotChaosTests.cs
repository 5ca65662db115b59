using SpotServe.Tests.EndToEnd;
using Xunit;

namespace SpotServe.Tests.Chaos;

/// <summary>The one command with --spot-chaos: a cloud that takes machines, and gives new ones.</summary>
[Trait("Category", "EndToEnd")]
[Collection(nameof(OneClusterAtATime))]
public sealed class SpotChaosTests
{
    private const int Nodes = 3;
    private const int Losses = 4;

    [Fact]
    public async Task Nodes_go_with_notice_and_without_new_ones_come_and_every_stream_is_that_of_an_undisturbed_run()
    {
        var (seed, http) = await SeedProcess.StartAsync(
            "--port", "0", "--nodes", $"{Nodes}", "--spot-chaos", "20");
        await using var _ = seed;
        using var __ = http;
        using var load = await RunningLoad.StartAsync(http, 8, () => seed.Output);

        for (var loss = 1; loss <= Losses; loss++) await seed.LineAsync($"loss {loss}: ");
        await ReconfigurationLine.UntilServingOnAsync(http, Nodes, () => seed.Output);
        load.AssertNothingWrong();
        await load.EndAsync();

        Assert.DoesNotContain("could not be taken", seed.Output, StringComparison.Ordinal);
        Assert.Contains("is killed.", seed.Output, StringComparison.Ordinal);
        Assert.Contains("goes in 30 s.", seed.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("9.9")]
    [InlineData("1e300")]
    [InlineData("NaN")]
    public async Task Period_that_leaves_no_time_to_start_a_node_is_refused_with_the_bounds(string seconds)
    {
        await using var seed = SeedProcess.Begin("--port", "0", "--spot-chaos", seconds);

        await seed.ExitCodeAsync(TimeSpan.FromSeconds(60));

        Assert.Contains(seed.Errors, line => line.Contains("it must be 10 to 86400", StringComparison.Ordinal));
    }
}
