using System.Collections.Immutable;

namespace SpotServe.Actors.Simulation;

/// <summary>What the evaluation is played with.</summary>
/// <param name="Models">OPT-6.7B, GPT-20B and LLaMA-30B.</param>
/// <param name="Traces">By the paper's names.</param>
/// <param name="Arrivals">By the model's name.</param>
public sealed record PaperInputs(
    ImmutableArray<PaperModel> Models,
    ImmutableDictionary<string, Availability> Traces,
    ImmutableDictionary<string, ImmutableArray<Arrival>> Arrivals);

/// <summary>One model on one trace under the paper's three policies.</summary>
public sealed record PaperCell(
    string Model,
    string Trace,
    SimulationOutcome Reparallelization,
    SimulationOutcome Rerouting,
    SimulationOutcome SpotServe)
{
    public double ReparallelizationRatio => Reparallelization.Latency.P99 / SpotServe.Latency.P99;

    public double ReroutingRatio => Rerouting.Latency.P99 / SpotServe.Latency.P99;

    /// <summary>The two ratios of Fig. 6, with the paper's.</summary>
    public IEnumerable<PaperRatio> Ratios()
    {
        var reported = PaperReported.Ratio(Model, Trace);
        yield return new PaperRatio(
            Model, Trace, "Reparallelization", ReparallelizationRatio, reported.Reparallelization);
        yield return new PaperRatio(Model, Trace, "Rerouting", ReroutingRatio, reported.Rerouting);
    }
}

/// <summary>A policy's P99 over SpotServe's, beside the paper's.</summary>
public sealed record PaperRatio(string Model, string Trace, string Policy, double Ours, double Paper)
{
    public double LogError => Math.Log(Ours / Paper);

    public bool Fits => Math.Abs((Ours / Paper) - 1) <= 0.25;
}

/// <summary>The paper's evaluation in paper mode: its policies, fixed batches, the artifact's dispatch and
/// horizon.</summary>
public static class PaperEvaluation
{
    private const string Gpt = "GPT-20B";

    /// <summary>All twelve cells of Fig. 6.</summary>
    public static ImmutableArray<PaperCell> Figure6(PaperInputs inputs, PaperAssumptions assumed) =>
    [
        .. from model in inputs.Models
           from trace in PaperReported.Traces
           select Cell(model, trace, inputs, assumed),
    ];

    public static PaperCell Cell(PaperModel model, string trace, PaperInputs inputs, PaperAssumptions assumed)
    {
        var (availability, arrivals) = (inputs.Traces[trace], inputs.Arrivals[model.Name]);
        return new PaperCell(
            model.Name,
            trace,
            new ReparallelizationRun(model, assumed).Run(availability, arrivals),
            new ReroutingRun(model, assumed).Run(availability, arrivals),
            new SpotServeRun(model, assumed, SpotServeParts.All).Run(availability, arrivals));
    }

    /// <summary>GPT-20B on machines that stay, for as long as B_S lasts.</summary>
    public static ImmutableArray<(int Machines, SimulationOutcome Outcome)> Static(
        PaperInputs inputs, PaperAssumptions assumed)
    {
        var (model, end) = (inputs.Models.First(model => model.Name == Gpt), inputs.Traces["B_S"].EndSeconds);
        return
        [
            .. PaperReported.Static.Select(reported => (reported.Machines,
                new SpotServeRun(model, assumed, SpotServeParts.All).Run(
                    Availability.Static($"{reported.Machines} machines", reported.Machines, end),
                    inputs.Arrivals[model.Name]))),
        ];
    }

    /// <summary>GPT-20B on A_S and B_S as parts of SpotServe are left out one after another, the full system
    /// first.</summary>
    public static ImmutableArray<SimulationOutcome> Ablation(
        PaperInputs inputs, PaperAssumptions assumed, string trace)
    {
        var model = inputs.Models.First(model => model.Name == Gpt);
        return
        [
            .. SpotServeParts.OneAfterAnother.Select(parts => new SpotServeRun(model, assumed, parts)
                .Run(inputs.Traces[trace], inputs.Arrivals[model.Name])),
        ];
    }

    /// <summary>Fig. 6 many times, with arrivals shifted by up to 6 s, execution by up to 2 % and the restart of an
    /// engine by up to 10 %: how much of the agreement is luck.</summary>
    /// <returns>How many of the 24 ratios fit in each run.</returns>
    public static ImmutableArray<int> Perturbed(PaperInputs inputs, PaperAssumptions assumed, int runs, int seed)
    {
        return [.. Perturbations(inputs, assumed, runs, seed).Select(run =>
            Figure6(run.Inputs, run.Assumed).SelectMany(cell => cell.Ratios()).Count(ratio => ratio.Fits))];
    }

    /// <summary>The ablation with the same small changes: P99 moves by a few requests, and what the parts are worth
    /// shows in the middle of many runs.</summary>
    /// <returns>P99 of each run, for each system in the order of <see cref="Ablation"/>.</returns>
    public static ImmutableArray<ImmutableArray<double>> AblationPerturbed(
        PaperInputs inputs, PaperAssumptions assumed, string trace, int runs, int seed)
    {
        var all = Perturbations(inputs, assumed, runs, seed)
            .Select(run => Ablation(run.Inputs, run.Assumed, trace)).ToList();
        return
        [
            .. SpotServeParts.OneAfterAnother.Select((_, i) =>
                all.Select(systems => systems[i].Latency.P99).ToImmutableArray()),
        ];
    }

    private static IEnumerable<(PaperInputs Inputs, PaperAssumptions Assumed)> Perturbations(
        PaperInputs inputs, PaperAssumptions assumed, int runs, int seed)
    {
        var draws = new SplitMix((ulong)seed);
        for (var i = 0; i < runs; i++)
        {
            var shift = 6 * draws.Unit();
            var shifted = inputs with
            {
                Arrivals = inputs.Arrivals.ToImmutableDictionary(
                    entry => entry.Key,
                    entry => entry.Value
                        .Select(arrival => arrival with { Seconds = arrival.Seconds + shift }).ToImmutableArray()),
            };
            var changed = assumed with
            {
                ExecutionFactor = assumed.ExecutionFactor * (0.98 + (0.04 * draws.Unit())),
                EngineRestartSeconds = assumed.EngineRestartSeconds * (0.9 + (0.2 * draws.Unit())),
            };
            yield return (shifted, changed);
        }
    }
}
