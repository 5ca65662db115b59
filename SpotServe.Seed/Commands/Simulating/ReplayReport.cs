using System.Collections.Immutable;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using static SpotServe.Seed.Commands.Simulating.PaperReport;
using static SpotServe.Seed.Commands.Simulating.ReportBlock;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>What a live cluster did, beside what the simulation makes of the same machines and requests.</summary>
internal static class ReplayReport
{
    /// <exception cref="TraceException">The file is no recording, or has too little in it.</exception>
    public static Report Make(string path)
    {
        var outcome = RecordedReplay.Run(path, Recording.Read(path, PaperFiles.Text(path)));
        var (recorded, simulated) = (outcome.Recorded, outcome.Simulated);
        var (was, made) = (recorded.Latency, simulated.Latency);
        return new Report("A recording, and its simulation", [
            .. outcome.Notes.Select(note => new Text(note)),
            new Table(["", "Recorded", "Simulated", "Error"], [
                Row("Requests answered", recorded.Completed.Length, simulated.Completed.Length, "0"),
                Row("Requests a second", recorded.Completed.Length / outcome.Seconds,
                    simulated.Completed.Length / outcome.Seconds, "0.000"),
                Row("Tokens a second", recorded.Tokens / outcome.Seconds, simulated.Tokens / outcome.Seconds, "0.0"),
                Row("Mean latency, s", was.Average, made.Average, "0.000"),
                Row("p50, s", was.P50, made.P50, "0.000"),
                Row("p95, s", was.P95, made.P95, "0.000"),
                Row("p99, s", was.P99, made.P99, "0.000"),
                Row("Changes of layout", recorded.Changes.Length, simulated.Changes.Length, "0"),
                Row("Pauses, s", Pauses(recorded), Pauses(simulated), "0.00"),
            ]),
            new Heading("Changes of layout"),
            new Text(outcome.HasSameChanges
                ? "As many, of the same kinds, in the same order."
                : "They differ in number, kind or order."),
            new Text(outcome.FirstDifference is not { } other
                ? "Every layout that the live planner decided is the simulated one's, device for device."
                : outcome.HasSameShapes
                    ? $"All layouts have the same degrees and stages; where they lie differs first at {other}. "
                        + Why(outcome.FirstPlacement)
                    : $"Layouts differ first at {other}."),
            Changes(recorded.Changes.Select(ReplayOutcome.Kind), simulated.Changes.Select(ReplayOutcome.Kind)),
        ]);
    }

    private static string Why(PlacementDifference? difference) => difference switch
    {
        null => "",
        { LiveWeightBytes: var live, SimulatedWeightBytes: var made, PageTokens: > 0 and var tokens }
            when live == made =>
            $"Both keep {Sizes.Text(made)} of weights in place: {tokens} tokens in pages decide, and live there were "
            + "others at that instant. What follows starts from there.",
        { LiveWeightBytes: var live, SimulatedWeightBytes: var made } =>
            $"The live one keeps {Sizes.Text(live)} of weights in place, the simulated one {Sizes.Text(made)}.",
    };

    private static double Pauses(ReplaySide side) => side.Changes.Sum(change => change.Pause?.TotalSeconds ?? 0);

    private static ImmutableArray<string> Row(string what, double recorded, double simulated, string format) => Cells(
        what, Number(recorded, format), Number(simulated, format),
        recorded > 0 ? Number(((simulated / recorded) - 1) * 100, "+0.0;-0.0;0") + " %" : "");

    private static Table Changes(IEnumerable<string> recorded, IEnumerable<string> simulated)
    {
        var (left, right) = (recorded.ToList(), simulated.ToList());
        return new Table(["", "Recorded", "Simulated"], [
            .. Enumerable.Range(0, Math.Max(left.Count, right.Count)).Select(i => Cells(
                $"{i + 1}", left.ElementAtOrDefault(i) ?? "none", right.ElementAtOrDefault(i) ?? "none")),
        ]);
    }
}
