using SpotServe.Node.Engine.Bench;
using Xunit;

namespace SpotServe.Tests.Engine;

[Collection("Engine")]
public sealed class EngineBenchTests
{
    [Theory]
    [InlineData(ElementType.Float32, 1, 1)]
    [InlineData(ElementType.BFloat16, 2, 2)]
    public void Tiny_shape_is_measured_on_every_layout(ElementType type, int stages, int ranks)
    {
        var options = new BenchOptions(
            "cpu", BenchShape.Named("tiny"), type, Batch: 2, stages, ranks, Threads: ranks, Context: 20,
            DecodeSteps: 3, Rounds: 2, TorchLib: null);

        var result = EngineBench.Run(options, _ => { });

        Assert.Equal(2, result.Rounds.Count);
        Assert.All(result.Rounds, round => Assert.True(
            round.DecodeMilliseconds > 0 && round.PrefillTokensPerSecond > 0 && round.ReadGigabytes > 0.1));
        Assert.Contains("ms/step", BenchCommand.Table(result), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 2, 2, 1)]
    [InlineData(2, 1, 1, 2)]
    public async Task A_change_of_layout_is_measured_there_and_back(
        int stages, int ranks, int nextStages, int nextRanks)
    {
        var options = new BenchOptions(
            "cpu", BenchShape.Named("tiny"), ElementType.Float32, Batch: 2, stages, ranks, Threads: 1, Context: 20,
            DecodeSteps: 3, Rounds: 1, TorchLib: null);

        var text = await ChangeBench.RunAsync(options, (nextStages, nextRanks), _ => { });

        Assert.Equal(2, text.Split("0 of 2 tokens differ").Length - 1);
    }

    [Fact]
    public void Bytes_of_a_step_are_those_of_the_peers() =>
        Assert.Equal([109_529_856L, 1_034_512_384L],
            [BenchShape.Named("160m").WeightsRead, BenchShape.Named("1b").WeightsRead]);

    [Theory]
    [InlineData("--shape", "9b")]
    [InlineData("--dtype", "int8")]
    [InlineData("--layout", "2")]
    [InlineData("--layout", "3,1")]
    [InlineData("--layout", "1,3")]
    [InlineData("--device", "tpu")]
    [InlineData("--context", "5000")]
    [InlineData("--batch", "0")]
    [InlineData("--change-to", "2")]
    [InlineData("--change-to", "3,1")]
    public void Impossible_option_ends_with_exit_code_1(string option, string value) =>
        Assert.Equal(1, BenchCommand.Create().Parse(["--shape", "tiny", option, value])
            .Invoke(new() { Output = TextWriter.Null, Error = TextWriter.Null }));
}
