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

    /// <summary>A step of machines is a vertical line, and thousands of those are still told apart.</summary>
    private const int StepsMax = 4000;

    /// <summary>Runs that are longer have their time in hours.</summary>
    private const double SecondsMax = 4 * 3600;

    /// <summary>Layouts that can be named beside each other; of more than these, only the replicas are drawn.</summary>
    private const int MarksMax = 12;

    /// <summary>Steps under the picture, on the same horizontal axis; null for none.</summary>
    public FigureSteps? Below { get; init; }

    /// <summary>Whether vertical values are shares of 1, which are shown whole.</summary>
    public bool IsShare { get; init; }

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
        ])
    {
        IsShare = true,
    };

    /// <summary>Each request's latency by when it came, or of many requests the median and the 99th percentile of each
    /// interval; machines and layouts under it.</summary>
    /// <param name="policies">The first one's layouts are shown.</param>
    public static FigureData OverTime(ImmutableArray<SimulationOutcome> policies, Availability machines)
    {
        var (label, unit) = machines.EndSeconds > SecondsMax ? ("Hours", 3600.0) : ("Seconds", 1.0);
        return new FigureData(label, "Latency, s", [.. policies.SelectMany(run => Latencies(run, unit))])
        {
            Below = StepsOf(policies[0], machines, unit),
        };
    }

    private static IEnumerable<FigureSeries> Latencies(SimulationOutcome run, double unit)
    {
        if (run.Completed.Length <= 4 * PointsMax)
        {
            yield return new FigureSeries(run.Policy, FigureStyle.Points, [
                .. run.Completed.Select(request => new FigurePoint(request.ArrivedAt / unit, request.Latency))]);
            yield break;
        }

        var intervals = run.Completed
            .GroupBy(request => (int)Math.Min(PointsMax - 1, request.ArrivedAt / run.EndSeconds * PointsMax))
            .OrderBy(interval => interval.Key)
            .Select(interval => (
                Middle: (interval.Key + 0.5) * run.EndSeconds / PointsMax / unit,
                Latency: LatencySummary.Of(interval.Select(request => request.Latency))))
            .ToList();
        yield return new FigureSeries($"{run.Policy}, median", FigureStyle.Line, [
            .. intervals.Select(interval => new FigurePoint(interval.Middle, interval.Latency.P50))]);
        yield return new FigureSeries($"{run.Policy}, 99th percentile", FigureStyle.Line, [
            .. intervals.Select(interval => new FigurePoint(interval.Middle, interval.Latency.P99))]);
    }

    private static FigureSteps StepsOf(SimulationOutcome run, Availability machines, double unit)
    {
        var lines = ImmutableArray.CreateBuilder<FigureSeries>();
        lines.Add(Steps("machines", machines, unit));
        var onDemand = Part(machines, machine => Pools.PoolOf(machine) == Pools.OnDemand);
        if (onDemand.Changes.Any(change => !change.Added.IsEmpty))
            lines.Add(Steps("of them on-demand", onDemand, unit));
        var changes = run.Reconfigurations;
        if (changes.Length <= MarksMax)
        {
            return new FigureSteps("Machines", lines.ToImmutable(), [
                .. changes.Select(change => new FigureMark(change.At / unit, change.Degrees.ToString()))]);
        }

        lines.Add(new FigureSeries("replicas", FigureStyle.Steps, Thinned(
            [
                .. changes.Select(change => new FigurePoint(change.At / unit, change.Degrees.Replicas)),
                new FigurePoint(run.EndSeconds / unit, changes[^1].Degrees.Replicas),
            ],
            StepsMax)));
        return new FigureSteps("Machines, replicas", lines.ToImmutable(), []);
    }

    private static Availability Part(Availability machines, Func<string, bool> isMeant) => machines with
    {
        Changes =
        [
            .. machines.Changes.Select(change => change with
            {
                Added = [.. change.Added.Where(isMeant)],
                Removed = [.. change.Removed.Where(isMeant)],
            }),
        ],
    };

    private static FigureSeries Steps(string name, Availability machines, double unit)
    {
        var counts = machines.Counts().ToList();
        return new FigureSeries(name, FigureStyle.Steps, Thinned(
            [
                .. counts.Select(step => new FigurePoint(step.Seconds / unit, step.Count)),
                new FigurePoint(machines.EndSeconds / unit, counts[^1].Count),
            ],
            StepsMax));
    }

    private static ImmutableArray<T> Thinned<T>(ImmutableArray<T> all, int most = PointsMax) => all.Length <= most
        ? all
        : [.. Enumerable.Range(0, most).Select(i => all[(int)((long)i * (all.Length - 1) / (most - 1))])];
}

internal sealed record FigureSeries(string Name, FigureStyle Style, ImmutableArray<FigurePoint> Points);

/// <param name="Label">Written beside the point, where there is room.</param>
internal readonly record struct FigurePoint(double X, double Y, string? Label = null);

internal readonly record struct FigureMark(double X, string Text);

/// <param name="Lines">Each value holds until the next.</param>
/// <param name="Marks">Written where they begin.</param>
internal sealed record FigureSteps(string Y, ImmutableArray<FigureSeries> Lines, ImmutableArray<FigureMark> Marks);

internal enum FigureStyle
{
    Line,
    Points,

    /// <summary>A line with its points.</summary>
    Both,

    /// <summary>Each value holds until the next.</summary>
    Steps,
}
