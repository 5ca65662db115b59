using System.Collections.Immutable;
using SpotServe.Actors.Simulation;
using static SpotServe.Seed.Commands.Simulating.PaperReport;
using static SpotServe.Seed.Commands.Simulating.ReportBlock;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>What goes beyond the paper's Fig. 6: our way to serve in columns of its own, arrivals as the paper
/// describes them, a rate that changes, and cost.</summary>
internal static class OurReport
{
    private const string Gpt = "GPT-20B";

    /// <summary>Of every request of the paper's.</summary>
    private const int OutputTokens = 128;

    private static readonly string[] TracesWithRates = ["A'_S+O", "B'_S+O"];

    /// <summary>Ours on the same traces and arrivals. Never mixed into the comparison with the paper.</summary>
    public static void Ours(
        ImmutableArray<ReportBlock>.Builder blocks,
        PaperInputs inputs,
        PaperAssumptions assumed,
        ImmutableArray<PaperCell> cells)
    {
        blocks.Add(new Heading("Our way to serve, apart: continuous batching, the live planner, no restarts"));
        blocks.Add(new Text(
            "The live planner's core decides, and simulated nodes do what it says. Seconds are average / P99; the "
            + "pause is the sum of all times in which what changed served nothing. \"Stopping first\" is the same "
            + "without copying while it serves. Paper columns are this simulation's SpotServe with fixed batches."));
        var rows =
            from cell in cells
            let model = inputs.Models.First(model => model.Name == cell.Model)
            let run = OurMode.Run(model, inputs.Traces[cell.Trace], inputs.Arrivals[cell.Model], assumed)
            let stops = OurMode.Run(
                model, inputs.Traces[cell.Trace], inputs.Arrivals[cell.Model], assumed, OurMode.StopFirst)
            let kills = OurMode.Run(
                model, inputs.Traces[cell.Trace], inputs.Arrivals[cell.Model], assumed, noticeSeconds: 0)
            select Cells(
                cell.Model, cell.Trace, Both(cell.SpotServe.Latency), Both(run.Latency),
                $"{run.Reconfigurations.Length}", Number(run.PauseSeconds, "0.0"), Both(stops.Latency),
                Number(stops.PauseSeconds, "0.0"), Both(kills.Latency), Number(kills.PauseSeconds, "0.0"),
                $"{kills.TokensRecomputed}",
                $"{Number(Dollars(cell.SpotServe), "0.0")} / {Number(Dollars(run), "0.0")}");
        blocks.Add(new Table(
            [
                "Model", "Trace", "Paper's, s", "Ours, s", "Changes", "Pause, s", "Stopping first, s", "Pause, s",
                "Ours, no notices, s", "Pause, s", "Tokens recomputed", "$ a million tokens, paper's / ours",
            ],
            [.. rows]));
    }

    /// <summary>Gamma arrivals that really have a variation of 6, over several seeds.</summary>
    public static void TrueVariation(
        ImmutableArray<ReportBlock>.Builder blocks, PaperInputs inputs, PaperAssumptions assumed, int seeds)
    {
        blocks.Add(new Heading($"P99 with arrivals whose variation is 6: medians and ranges over {seeds} seeds"));
        blocks.Add(new Text(
            "In seconds. The artifact's files have a variation of 0.03 to 0.1, so nothing here is to be compared with "
            + "the paper. Requests that are not done at the end of the trace are left out for the paper's policies; "
            + "ours is drained. Costs are of the tokens that were answered by the trace's end, on the same machines."));
        var rows = new List<ImmutableArray<string>>();
        foreach (var model in inputs.Models)
        {
            foreach (var trace in PaperReported.Traces)
            {
                var availability = inputs.Traces[trace];
                var runs = Enumerable.Range(1, seeds).Select(seed =>
                {
                    var arrivals = ArrivalGenerator.Gamma(
                        model.Rate, 6, availability.EndSeconds, 512, 128, seed);
                    return OurMode.PaperPolicies(model, availability, arrivals, assumed)
                        .Add(OurMode.Run(model, availability, arrivals, assumed, drains: true));
                }).ToList();
                rows.Add(Cells([
                    model.Name, trace,
                    .. Enumerable.Range(0, 4).Select(policy => Range(runs.Select(run => run[policy].Latency.P99))),
                    $"{Median(runs.Select(run => Dollars(run[2])))} / {Median(runs.Select(run => Dollars(run[3])))}"]));
            }
        }

        blocks.Add(new Table(
            [
                "Model", "Trace", "Reparallelization", "Rerouting", "SpotServe", "Ours",
                "$ a million tokens, SpotServe / ours",
            ],
            [.. rows]));
    }

    /// <summary>The paper's Fig. 8 and 7: a rate that changes, and latency against cost. GPT-20B.</summary>
    public static void RatesAndCost(
        ImmutableArray<ReportBlock>.Builder blocks,
        PaperInputs inputs,
        PaperAssumptions assumed,
        ImmutableArray<PaperCell> cells)
    {
        var model = inputs.Models.First(model => model.Name == Gpt);
        if (inputs.Arrivals.TryGetValue("MAF", out var arrivals))
        {
            blocks.Add(new Heading("GPT-20B with a rate that changes, average / P99"));
            blocks.Add(new Table(
                ["Trace", "Reparallelization, s", "Rerouting, s", "SpotServe, s", "Ours, s"],
                [
                    .. from trace in TracesWithRates
                       let runs = OurMode.PaperPolicies(model, inputs.Traces[trace], arrivals, assumed)
                           .Add(OurMode.Run(model, inputs.Traces[trace], arrivals, assumed))
                       select Cells([trace, .. runs.Select(run => Both(run.Latency))]),
                ]));
        }

        blocks.Add(new Heading("GPT-20B: cost against latency"));
        var onDemand = Enumerable.Range(3, 8).Select(machines => (
            Name: $"{machines} on-demand machines",
            Cost: machines * PaperMachine.OnDemandPrice,
            OurMode.PaperPolicies(
                model, Availability.Static("on-demand", machines, inputs.Traces["B_S"].EndSeconds),
                inputs.Arrivals[Gpt], assumed)[^1].Latency)).ToList();
        var spot = cells.Where(cell => cell.Model == Gpt)
            .SelectMany(cell => new[] { (cell.SpotServe, cell.Trace), (cell.Rerouting, cell.Trace) })
            .Select(run => (Run: run.Item1, run.Trace, Name: $"{run.Item1.Policy} on {run.Trace}"))
            .ToList();
        blocks.Add(new Text(
            "All machines of the spot traces at the spot price: which of the +O traces' are on-demand is not in the "
            + "artifact's files."));
        blocks.Add(new Table(["Fleet", "$ an hour", "Average / P99, s"], [
            .. onDemand.Select(fleet => Cells(fleet.Name, Number(fleet.Cost, "0.00"), Both(fleet.Latency))),
            .. spot.Select(run => Cells(run.Name, Number(run.Run.CostPerHour, "0.00"), Both(run.Run.Latency))),
        ]));
        blocks.Add(new Figure("cost", "GPT-20B: cost against the mean latency.", new FigureData(
            "$ an hour", "Mean latency, s", [
                new FigureSeries("on-demand, 3 to 10 machines", FigureStyle.Both, [
                    .. onDemand.Select(fleet => new FigurePoint(
                        fleet.Cost, fleet.Latency.Average, Number(fleet.Cost / PaperMachine.OnDemandPrice, "0")))]),
                .. spot.GroupBy(run => run.Run.Policy).Select(policy => new FigureSeries(
                    policy.Key + " on spot", FigureStyle.Points, [
                        .. policy.Select(run => new FigurePoint(
                            run.Run.CostPerHour, run.Run.Latency.Average, run.Trace))])),
            ])));
    }

    /// <summary>Dollars a million tokens that were answered by the end; what is drained afterwards is not
    /// counted, as its machines are not.</summary>
    private static double Dollars(SimulationOutcome run) =>
        run.Cost / (run.Completed.Count(request => request.CompletedAt <= run.EndSeconds) * OutputTokens / 1e6);

    private static string Median(IEnumerable<double> values) =>
        Number(values.Order().ElementAt(values.Count() / 2), "0.0");

    private static string Range(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return $"{Number(sorted[sorted.Length / 2], "0.0")} ({Number(sorted[0], "0.0")} to "
            + $"{Number(sorted[^1], "0.0")})";
    }
}
