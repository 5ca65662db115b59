using System.Collections.Immutable;
using SpotServe.Actors.Simulation;
using static SpotServe.Seed.Commands.Simulating.ReportBlock;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>A fleet that is played.</summary>
/// <param name="Label">What tells it from others of its kind; null where its name does.</param>
internal sealed record SimulatedFleet(string Name, FleetKind Kind, string? Label, Availability Machines);

internal enum FleetKind
{
    /// <summary>Spot machines of all pools, filled up on demand or not.</summary>
    Pools,

    /// <summary>Spot machines of one pool.</summary>
    Pool,

    /// <summary>Machines that stay.</summary>
    OnDemand,
}

/// <summary>What spot would cost, in pictures.</summary>
internal static class FleetFigures
{
    public static IEnumerable<ReportBlock> Of(ImmutableArray<(SimulationOutcome Run, SimulatedFleet Fleet)> runs)
    {
        yield return new Figure(
            "latency", "Share of requests that were answered within a time.",
            FigureData.Distribution(runs.Select(run => run.Run)));
        var ofPools = runs.Where(run => run.Fleet.Kind == FleetKind.Pools).ToList();
        for (var i = 0; i < ofPools.Count; i++)
        {
            var (run, fleet) = ofPools[i];
            yield return new Figure(
                i == 0 ? "time" : FormattableString.Invariant($"time-{i + 1}"),
                $"Latency over time on {run.Policy}, with its machines and layouts.",
                FigureData.OverTime([run], fleet.Machines));
        }

        yield return new Figure("cost", "Cost against the mean latency.", Cost(runs));
    }

    /// <summary>Fleets of all pools are one line, from spot alone to the most on-demand machines.</summary>
    private static FigureData Cost(ImmutableArray<(SimulationOutcome Run, SimulatedFleet Fleet)> runs)
    {
        var answered = runs.Where(run => !run.Run.Completed.IsEmpty).ToList();
        var series = new List<FigureSeries>();
        var ofPools = answered.Where(run => run.Fleet.Kind == FleetKind.Pools).ToList();
        if (ofPools.Count > 0)
        {
            series.Add(new FigureSeries(ofPools[0].Run.Policy, FigureStyle.Both, [
                .. ofPools.Select(run => Point(run.Run, ofPools.Count > 1 ? run.Fleet.Label : null))]));
        }

        series.AddRange(answered.Where(run => run.Fleet.Kind != FleetKind.Pools)
            .Select(run => new FigureSeries(run.Run.Policy, FigureStyle.Points, [Point(run.Run, null)])));
        return new FigureData("$ an hour", "Mean latency, s", [.. series]);
    }

    private static FigurePoint Point(SimulationOutcome run, string? label) =>
        new(run.CostPerHour, run.Latency.Average, label);
}
