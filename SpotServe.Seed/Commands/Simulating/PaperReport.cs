using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using static SpotServe.Seed.Commands.Simulating.ReportBlock;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>The paper's evaluation as a report: each value of ours beside the paper's.</summary>
internal static class PaperReport
{
    private const string Gpt = "GPT-20B";

    /// <param name="origin">Where the inputs come from, in one sentence.</param>
    /// <param name="perturbedRuns">Runs that show how much of the agreement is luck; 0 leaves them out.</param>
    /// <param name="seeds">Runs with arrivals whose variation is 6; 0 leaves them out.</param>
    public static Report Make(
        PaperInputs inputs, string origin, PaperAssumptions assumed, int perturbedRuns, int seeds)
    {
        var cells = PaperEvaluation.Figure6(inputs, assumed);
        var blocks = ImmutableArray.CreateBuilder<ReportBlock>();
        blocks.Add(new Text(origin));
        blocks.Add(new Text($"One set of assumptions for all cells: {assumed}."));
        Table1(blocks, inputs);
        Layouts(blocks, cells);
        Figure6(blocks, cells);
        if (perturbedRuns > 0)
        {
            var fitting = PaperEvaluation.Perturbed(inputs, assumed, perturbedRuns, seed: 1);
            Perturbed(blocks, cells.Sum(cell => cell.Ratios().Count()), fitting);
        }

        if (inputs.Models.Any(model => model.Name == Gpt))
        {
            // The only model that the paper tells seconds of, and leaves parts out of.
            Seconds(blocks, cells);
            Figures(blocks, inputs, cells);
            Static(blocks, PaperEvaluation.Static(inputs, assumed));
            Ablation(blocks, inputs, assumed, perturbedRuns);
            OurReport.RatesAndCost(blocks, inputs, assumed, cells);
        }

        OurReport.Ours(blocks, inputs, assumed, cells);
        if (seeds > 0) OurReport.TrueVariation(blocks, inputs, assumed, seeds);
        return new Report("SpotServe's evaluation, simulated", blocks.ToImmutable());
    }

    private static void Table1(ImmutableArray<ReportBlock>.Builder blocks, PaperInputs inputs)
    {
        blocks.Add(new Heading("Table 1: latency of one request"));
        blocks.Add(new Table(["Model", "(P, M)", "Ours, s", "Paper, s"],
        [
            .. PaperReported.Table1.Join(inputs.Models, row => row.Model, model => model.Name, (row, model) =>
            {
                var table = model.Profile;
                var shape = ReplicaShape.Even(table.LayerCount, row.Stages, row.Ranks, PaperMachine.Device);
                var cost = new ProfileCostModel(table).Cost(shape, 1, PaperModel.Load(1), Batching.Fixed);
                return Cells(row.Model, $"({row.Stages}, {row.Ranks})", Number(cost.Execution(128), "0.000"),
                    Number(row.Seconds, "0.000"));
            }),
        ]));
    }

    private static void Layouts(ImmutableArray<ReportBlock>.Builder blocks, ImmutableArray<PaperCell> cells)
    {
        blocks.Add(new Heading("Changes of layout"));
        blocks.Add(new Text("(D, P, M) from the second in which the old layout stops. Where an event is missing, "
            + "neither the layout nor a machine that works changed."));
        blocks.Add(new Table(["Model", "Trace", "SpotServe", "Rerouting"],
        [
            .. cells.Select(cell => Cells(
                cell.Model, cell.Trace, Line(cell.SpotServe), Line(cell.Rerouting))),
        ]));

        static string Line(SimulationOutcome outcome) => string.Join("; ", outcome.Reconfigurations.Select(change =>
            $"{Number(change.At, "0")} {change.Degrees}"));
    }

    private static void Figure6(ImmutableArray<ReportBlock>.Builder blocks, ImmutableArray<PaperCell> cells)
    {
        blocks.Add(new Heading("Fig. 6: average and P99, and P99 over SpotServe's"));
        blocks.Add(new Table(
            [
                "Model", "Trace", "Reparallelization, s", "Rerouting, s", "SpotServe, s", "Reparallelization (paper)",
                "Rerouting (paper)",
            ],
            [
                .. cells.Select(cell => Cells(
                    cell.Model, cell.Trace, Both(cell.Reparallelization.Latency), Both(cell.Rerouting.Latency),
                    Both(cell.SpotServe.Latency), Ratio(cell.Ratios().First()), Ratio(cell.Ratios().Last()))),
            ]));
        var ratios = cells.SelectMany(cell => cell.Ratios()).ToList();
        blocks.Add(new Text(
            $"{ratios.Count(ratio => ratio.Fits)} of {ratios.Count} ratios are within 25 % of the paper's; the mean of "
            + $"|ln(ours / paper)| is {Number(ratios.Average(ratio => Math.Abs(ratio.LogError)), "0.000")}. "
            + "Those that are not:"));
        blocks.Add(new Table(["Model", "Trace", "Policy", "Ours", "Paper", "Why"],
        [
            .. ratios.Where(ratio => !ratio.Fits).Select(ratio => Cells(
                ratio.Model, ratio.Trace, ratio.Policy, Number(ratio.Ours, "0.00"), Number(ratio.Paper, "0.00"),
                PaperDifferences.Why(ratio))),
        ]));

        static string Ratio(PaperRatio ratio) =>
            $"{Number(ratio.Ours, "0.00")} ({Number(ratio.Paper, "0.00")}){(ratio.Fits ? "" : " x")}";
    }

    private static void Perturbed(
        ImmutableArray<ReportBlock>.Builder blocks, int ratios, ImmutableArray<int> fitting)
    {
        blocks.Add(new Text(
            $"With arrivals shifted by up to 6 s, execution by 2 % and the engine's restart by 10 %, {fitting.Length} "
            + $"runs have {Number(fitting.Average(), "0.0")} of {ratios} within 25 % on average, "
            + $"{fitting.Min()} to {fitting.Max()}."));
    }

    private static void Seconds(ImmutableArray<ReportBlock>.Builder blocks, ImmutableArray<PaperCell> cells)
    {
        blocks.Add(new Heading("GPT-20B in seconds, average / P99"));
        blocks.Add(new Table(["Trace", "Policy", "Ours", "Paper", "Difference"],
        [
            .. from cell in cells.Where(cell => cell.Model == Gpt)
               from outcome in new[] { cell.Reparallelization, cell.Rerouting, cell.SpotServe }
               let paper = PaperReported.Gpt20Billion(outcome.Policy, cell.Trace)
               select Cells(
                   cell.Trace, outcome.Policy, Both(outcome.Latency),
                   $"{Number(paper.Average, "0.0")} / {Number(paper.P99, "0.0")}",
                   $"{Percent(outcome.Latency.Average / paper.Average)} / {Percent(outcome.Latency.P99 / paper.P99)}"),
        ]));
    }

    private static void Figures(
        ImmutableArray<ReportBlock>.Builder blocks, PaperInputs inputs, ImmutableArray<PaperCell> cells)
    {
        foreach (var cell in cells.Where(cell => cell is { Model: Gpt, Trace: "A_S" or "B_S" }))
        {
            var name = cell.Trace.Replace("_", "", StringComparison.Ordinal).ToLowerInvariant();
            blocks.Add(new Figure(
                $"latency-{name}", $"GPT-20B on {cell.Trace}: share of requests that were answered within a time.",
                FigureData.Distribution([cell.SpotServe, cell.Rerouting, cell.Reparallelization])));
            blocks.Add(new Figure(
                $"time-{name}", $"GPT-20B on {cell.Trace}: latency over time, SpotServe's layouts and machines.",
                FigureData.OverTime([cell.SpotServe, cell.Rerouting], inputs.Traces[cell.Trace])));
        }
    }

    private static void Static(
        ImmutableArray<ReportBlock>.Builder blocks, ImmutableArray<(int Machines, SimulationOutcome Outcome)> runs)
    {
        blocks.Add(new Heading("GPT-20B on machines that stay, average / P99"));
        blocks.Add(new Table(["Machines", "Ours, s", "Paper, s", "Difference"],
        [
            .. runs.Zip(PaperReported.Static, (run, paper) => Cells(
                $"{run.Machines}", Both(run.Outcome.Latency),
                $"{Number(paper.Average, "0.0")} / {Number(paper.P99, "0.0")}",
                $"{Percent(run.Outcome.Latency.Average / paper.Average)} / "
                    + Percent(run.Outcome.Latency.P99 / paper.P99))),
        ]));
    }

    private static void Ablation(
        ImmutableArray<ReportBlock>.Builder blocks, PaperInputs inputs, PaperAssumptions assumed, int perturbedRuns)
    {
        blocks.Add(new Heading("Fig. 9: GPT-20B, P99 over the full system's, as parts are left out"));
        var rows = new List<ImmutableArray<string>>();
        foreach (var trace in new[] { "A_S", "B_S" })
        {
            var runs = PaperEvaluation.Ablation(inputs, assumed, trace);
            var perturbed = PaperEvaluation.AblationPerturbed(inputs, assumed, trace, perturbedRuns, seed: 1);
            var paper = PaperReported.Ablation(trace);
            rows.AddRange(runs.Select((run, i) => Cells(
                trace, run.Policy, Both(run.Latency), Number(run.Latency.P99 / runs[0].Latency.P99, "0.00"),
                perturbedRuns == 0 ? "" : Number(Median(perturbed[i]) / Median(perturbed[0]), "0.00"),
                i == 0 ? "1.00" : Number(paper[i - 1], "0.00"), Number(run.PauseSeconds, "0.0"),
                $"{run.TokensRecomputed}", Sizes.Text(run.MovedBytes))));
        }

        blocks.Add(new Table(
            [
                "Trace", "System", "Average / P99, s", "Ratio", "Ratio of medians, perturbed", "Paper", "Pauses, s",
                "Tokens recomputed", "Moved",
            ],
            [.. rows]));
    }

    private static double Median(ImmutableArray<double> values) => values.Order().ElementAt(values.Length / 2);

    internal static ImmutableArray<string> Cells(params ReadOnlySpan<string> cells) => [.. cells];

    internal static string Number(double value, string format) =>
        value.ToString(format, System.Globalization.CultureInfo.InvariantCulture);

    internal static string Both(LatencySummary latency) =>
        $"{Number(latency.Average, "0.0")} / {Number(latency.P99, "0.0")}";

    private static string Percent(double ratio) => Number((ratio - 1) * 100, "+0;-0") + " %";
}
