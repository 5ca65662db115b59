using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Evaluation;

/// <summary>The evaluation from the built-in set: it holds with nothing beside the checkout.</summary>
public sealed class PaperShapesTests
{
    [Fact]
    public void Every_event_has_the_layout_of_the_study() => PaperRecords.RequireLayouts(PaperRecords.Shapes);

    [Fact]
    public void Nothing_switches_where_neither_layout_nor_working_machines_change() =>
        Assert.All(PaperRecords.Shapes, cell =>
        {
            // Ten machines are no reason for the larger models to leave the layout of eight.
            if (cell.Model == "OPT-6.7B") return;
            Assert.All(cell.SpotServe.Reconfigurations.Where(change => change.Cause.StartsWith('+')), change =>
                Assert.True(change.Machines is 8 || cell.Trace == "A_S+O", change.ToString()));
        });

    [Fact]
    public void Ratios_come_near_the_papers_on_the_shapes_of_its_traces()
    {
        var ratios = PaperRecords.Shapes.SelectMany(cell => cell.Ratios()).ToList();

        Assert.InRange(ratios.Count(ratio => ratio.Fits), 18, 24);
        Assert.InRange(ratios.Average(ratio => Math.Abs(ratio.LogError)), 0, 0.20);
    }

    [Fact]
    public void Equal_inputs_give_equal_outcomes_bit_for_bit()
    {
        var inputs = PaperShapes.Inputs(seed: 3);

        var (first, second) = (Cell(), Cell());

        foreach (var (left, right) in new[] {
            (first.SpotServe, second.SpotServe), (first.Rerouting, second.Rerouting),
            (first.Reparallelization, second.Reparallelization) })
        {
            Assert.Equal(left.Completed, right.Completed);
            Assert.Equal(left.Reconfigurations, right.Reconfigurations);
            Assert.Equal(left.Cost, right.Cost);
        }

        PaperCell Cell() => PaperEvaluation.Cell(inputs.Models[1], "B_S", inputs, new PaperAssumptions());
    }

    [Fact]
    public void Money_adds_up_to_machine_hours_times_their_price()
    {
        // B_S: 10 machines for 120 s, 8 for 120 s, 7 for 480 s, 8 for 240 s, 9 for 60 s.
        const double Hours = ((10 * 120) + (8 * 120) + (7 * 480) + (8 * 240) + (9 * 60)) / 3600.0;
        Assert.All(PaperRecords.Shapes.Where(cell => cell.Trace == "B_S"), cell =>
        {
            Assert.Equal(Hours * PaperMachine.SpotPrice, cell.SpotServe.Cost, 9);
            Assert.Equal(cell.SpotServe.Cost, cell.Rerouting.Cost);
        });
    }

    [Fact]
    public void Requests_that_keep_their_tokens_recompute_none_and_the_baselines_do() =>
        Assert.All(PaperRecords.Shapes.Where(cell => cell.Trace == "B_S"), cell =>
        {
            Assert.True(cell.SpotServe.TokensRecomputed <= cell.Reparallelization.TokensRecomputed);
            Assert.True(cell.Reparallelization.TokensRecomputed > 0);
        });

    [Theory]
    [InlineData("A_S")]
    [InlineData("B_S")]
    public void Leaving_out_the_controller_costs_most_and_no_part_that_is_left_out_helps(string trace)
    {
        var runs = PaperEvaluation.Ablation(PaperShapes.Inputs(), new PaperAssumptions(), trace);
        var p99 = runs.Select(run => run.Latency.P99).ToList();

        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(' ', p99));
        Assert.True(p99[1] > 1.1 * p99[0]);
        // Within a percent: the batches that form after a stop are others each time.
        for (var i = 1; i < p99.Count; i++) Assert.True(p99[i] >= p99[i - 1] * 0.95, $"{p99[i - 1]} -> {p99[i]}");
    }
}
