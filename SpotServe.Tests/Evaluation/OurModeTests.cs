using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>The live planner's core over simulated nodes: what holds of every run.</summary>
public sealed class OurModeTests
{
    private static readonly PaperInputs Inputs = PaperShapes.Inputs();

    [Theory]
    [InlineData("OPT-6.7B", "B_S")]
    [InlineData("GPT-20B", "A_S")]
    [InlineData("LLaMA-30B", "B_S+O")]
    public void P99_is_no_worse_than_that_of_the_papers_policy(string model, string trace)
    {
        var ours = Run(model, trace);
        var paper = PaperRecords.Shapes.First(cell => cell.Model == model && cell.Trace == trace).SpotServe;

        Assert.InRange(ours.Latency.P99, 0, paper.Latency.P99);
        Assert.InRange(ours.Cost, 0, paper.Cost * 1.0001);
        Assert.InRange(ours.PauseSeconds, 0, paper.PauseSeconds);
    }

    [Fact]
    public void Notices_cost_no_tokens_and_losses_without_notice_cost_some_but_no_request()
    {
        // On A_S the machines that go are of replicas that have requests.
        var noticed = Run("GPT-20B", "A_S", drains: true);
        var killed = Run("GPT-20B", "A_S", noticeSeconds: 0, drains: true);

        Assert.Equal(0, noticed.TokensRecomputed);
        Assert.True(killed.TokensRecomputed > 0);
        Assert.Equal(noticed.Arrived, noticed.Completed.Length);
        Assert.Equal(killed.Arrived, killed.Completed.Length);
    }

    [Fact]
    public void Copying_while_serving_pauses_less_than_stopping_first()
    {
        var copies = Run("GPT-20B", "B_S+O");
        var stops = Run("GPT-20B", "B_S+O", OurMode.StopFirst);

        Assert.True(copies.PauseSeconds < stops.PauseSeconds / 2, $"{copies.PauseSeconds} and {stops.PauseSeconds}");
    }

    [Fact]
    public void Equal_inputs_give_equal_outcomes_bit_for_bit()
    {
        var (first, second) = (Run("GPT-20B", "B_S"), Run("GPT-20B", "B_S"));

        Assert.Equal(first.Completed, second.Completed);
        Assert.Equal(first.Reconfigurations, second.Reconfigurations);
        Assert.Equal(first.MachineHours, second.MachineHours);
    }

    private static SimulationOutcome Run(
        string model, string trace, string policy = OurMode.Ours, double noticeSeconds = 30, bool drains = false) =>
        OurMode.Run(
            Inputs.Models.First(known => known.Name == model), Inputs.Traces[trace], Inputs.Arrivals[model],
            new PaperAssumptions(), policy, noticeSeconds, drains);
}
