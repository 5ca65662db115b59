using System.Collections.Concurrent;
using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>The live planner's core over simulated nodes: what holds of every run.</summary>
public sealed class OurModeTests
{
    private static readonly PaperInputs Inputs = PaperShapes.Inputs();

    /// <summary>Runs that several tests look at, each played once. All requests are finished in them, beyond the
    /// trace's end: that makes no latency smaller.</summary>
    private static readonly ConcurrentDictionary<(string, string, double), Lazy<SimulationOutcome>> Runs = new();

    public static TheoryData<string, string> Cells => new(
        ("OPT-6.7B", "B_S"), ("GPT-20B", "A_S"), ("LLaMA-30B", "B_S+O"));

    [Theory]
    [MemberData(nameof(Cells))]
    public void P99_is_no_worse_than_that_of_the_papers_policy(string model, string trace)
    {
        var ours = Once(model, trace);
        var paper = PaperRecords.Shapes.First(cell => cell.Model == model && cell.Trace == trace).SpotServe;

        Assert.InRange(ours.Latency.P99, 0, paper.Latency.P99);
        Assert.InRange(ours.Cost, 0, paper.Cost * 1.0001);
        Assert.InRange(ours.PauseSeconds, 0, paper.PauseSeconds);
    }

    [Theory]
    [MemberData(nameof(Cells))]
    public void Notices_cost_no_tokens_and_losses_without_notice_no_request(string model, string trace)
    {
        var (noticed, killed) = (Once(model, trace), Once(model, trace, noticeSeconds: 0));

        Assert.Equal(0, noticed.TokensRecomputed);
        Assert.Equal(noticed.Arrived, noticed.Completed.Length);
        Assert.Equal(killed.Arrived, killed.Completed.Length);
    }

    /// <summary>A machine that is lost may be one that serves nothing; OPT-6.7B uses all of them.</summary>
    [Fact]
    public void Losses_without_notice_cost_tokens_that_are_computed_again() =>
        Assert.True(Once("OPT-6.7B", "B_S", noticeSeconds: 0).TokensRecomputed > 0);

    [Fact]
    public void Copying_while_serving_pauses_less_than_stopping_first()
    {
        var (copies, stops) = (Once("LLaMA-30B", "B_S+O"), Run("LLaMA-30B", "B_S+O", OurMode.StopFirst));

        Assert.True(copies.PauseSeconds < stops.PauseSeconds / 2, $"{copies.PauseSeconds} and {stops.PauseSeconds}");
    }

    [Fact]
    public void Equal_inputs_give_equal_outcomes_bit_for_bit()
    {
        var (first, second) = (Once("GPT-20B", "A_S"), Run("GPT-20B", "A_S"));

        Assert.Equal(first.Completed, second.Completed);
        Assert.Equal(first.Reconfigurations, second.Reconfigurations);
        Assert.Equal(first.MachineHours, second.MachineHours);
    }

    private static SimulationOutcome Once(string model, string trace, double noticeSeconds = 30) => Runs.GetOrAdd(
        (model, trace, noticeSeconds),
        _ => new(() => Run(model, trace, noticeSeconds: noticeSeconds))).Value;

    private static SimulationOutcome Run(
        string model, string trace, string policy = OurMode.Ours, double noticeSeconds = 30) =>
        OurMode.Run(
            Inputs.Models.First(known => known.Name == model), Inputs.Traces[trace], Inputs.Arrivals[model],
            new PaperAssumptions(), policy, noticeSeconds, drains: true);
}
