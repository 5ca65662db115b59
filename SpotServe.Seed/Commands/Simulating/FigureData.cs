using System.Collections.Immutable;
using SpotServe.Actors.Simulation;

namespace SpotServe.Seed.Commands.Simulating;

/// <summary>What a figure shows, apart from how it is drawn.</summary>
/// <param name="X">Label of the horizontal axis, with its unit.</param>
/// <param name="Y">Label of the vertical axis, with its unit.</param>
internal sealed record FigureData(string X, string Y, ImmutableArray<FigureSeries> Series)
{
    /// <summary>More points than these are not told apart, and make pictures large.</summary>
    private const int PointsMax = 240;

    /// <summary>Steps under the picture, on the same horizontal axis; null for none.</summary>
    public FigureSteps? Below { get; init; }

    /// <summary>Share of requests that were answered within a time, a line for each run.</summary>
    public static FigureData Distribution(IEnumerable<SimulationOutcome> runs) => new(
        "Latency, s",
        "Share of requests",
        [
            .. runs.Where(run => !run.Completed.IsEmpty).Select(run =>
            {
                var sorted = run.Completed.Select(request => request.Latency).Order().ToArray();
                return new FigureSeries(run.Policy, FigureStyle.Line, Thinned(
                    [.. sorted.Select((latency, i) => new FigurePoint(latency, (i + 1.0) / sorted.Length))]));
            }),
        ]);

    /// <summary>Each request's latency by when it came; machines and layouts under it.</summary>
    /// <param name="policies">The first one's layouts are shown.</param>
    public static FigureData OverTime(ImmutableArray<SimulationOutcome> policies, Availability machines) => new(
        "Seconds",
        "Latency, s",
        [
            .. policies.Select(run => new FigureSeries(run.Policy, FigureStyle.Points, Thinned(
                [.. run.Completed.Select(request => new FigurePoint(request.ArrivedAt, request.Latency))]))),
        ])
    {
        Below = new FigureSteps(
            "Machines",
            Thinned([
                .. machines.Counts().Select(step => new FigurePoint(step.Seconds, step.Count)),
                new FigurePoint(machines.EndSeconds, machines.Counts().Last().Count),
            ]),
            [
                .. Thinned([.. policies[0].Reconfigurations], MarksMax)
                    .Select(change => new FigureMark(change.At, change.Degrees.ToString())),
            ]),
    };

    /// <summary>Labels that find room beside each other.</summary>
    private const int MarksMax = 12;

    private static ImmutableArray<T> Thinned<T>(ImmutableArray<T> all, int most = PointsMax) => all.Length <= most
        ? all
        : [.. Enumerable.Range(0, most).Select(i => all[(int)((long)i * (all.Length - 1) / (most - 1))])];
}

internal sealed record FigureSeries(string Name, FigureStyle Style, ImmutableArray<FigurePoint> Points);

internal readonly record struct FigurePoint(double X, double Y);

internal readonly record struct FigureMark(double X, string Text);

/// <param name="Points">Each holds until the next.</param>
/// <param name="Marks">Written where they begin.</param>
internal sealed record FigureSteps(string Y, ImmutableArray<FigurePoint> Points, ImmutableArray<FigureMark> Marks);

internal enum FigureStyle
{
    Line,
    Points,

    /// <summary>A line with its points.</summary>
    Both,
}
