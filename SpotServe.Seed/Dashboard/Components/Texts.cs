using System.Globalization;
using SpotServe.Actors.Cluster;
using SpotServe.Seed.Dashboard.Live;

namespace SpotServe.Seed.Dashboard.Components;

/// <summary>Numbers and names as the dashboard writes them.</summary>
internal static class Texts
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB"];

    public static string Number(double value) => value switch
    {
        >= 100 => value.ToString("N0", CultureInfo.InvariantCulture),
        _ => value.ToString("0.0", CultureInfo.InvariantCulture),
    };

    /// <summary>"84 ms", "2.3 s"; a dash for what is not known.</summary>
    public static string Seconds(double? seconds) => seconds switch
    {
        null => "–",
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1000:0} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s"),
    };

    public static string Seconds(TimeSpan time) => Seconds(time.TotalSeconds);

    /// <summary>"1,234", "7.06", "0.0342": as exact as a person compares.</summary>
    public static string Money(double amount) => amount.ToString(
        amount switch { >= 100 => "N0", >= 1 => "0.00", _ => "0.00##" }, CultureInfo.InvariantCulture);

    /// <summary>"512 B", "1.5 MiB", "288 MiB": short enough for a card.</summary>
    public static string Size(long bytes)
    {
        var size = (double)bytes;
        var unit = 0;
        while (size >= 1000 && unit < Units.Length - 1)
        {
            size /= 1024;
            unit++;
        }

        var digits = size >= 10 || unit == 0 ? "0" : "0.#";
        return size.ToString(digits, CultureInfo.InvariantCulture) + " " + Units[unit];
    }

    /// <summary>A share of a whole as a coordinate of 0 to 100.</summary>
    public static string Percent(long part, long whole) => whole <= 0
        ? "0"
        : (100.0 * Math.Clamp(part, 0, whole) / whole).ToString("0.##", CultureInfo.InvariantCulture);

    public static string Coordinate(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);

    /// <summary>What the planner is at, in a word or two.</summary>
    public static string Phase(PlannerPhase phase) => phase switch
    {
        PlannerPhase.Gathering => "Waiting for nodes",
        PlannerPhase.Planning => "Planning",
        PlannerPhase.PreCopying => "Copying while serving",
        PlannerPhase.CuttingOver => "Cutting over",
        PlannerPhase.Releasing => "Releasing",
        PlannerPhase.Serving => "Serving",
        PlannerPhase.CannotServe => "Cannot serve",
        _ => phase.ToString(),
    };

    public static string State(NodeState state) => state switch
    {
        NodeState.Serving => "serving",
        NodeState.Loading => "loading",
        NodeState.Spare => "spare",
        NodeState.Leaving => "leaving",
        NodeState.Gone => "gone",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static string Degrees(LayoutDegrees? degrees) => degrees is { } some
        ? SnapshotBuilder.Degrees(some)
        : "nothing";

    /// <summary>"1 replica of 2 stages of 2 ranks".</summary>
    public static string Described(string degrees)
    {
        var parts = degrees.Split(',');
        return $"{Count(parts[0], "replica")} of {Count(parts[1], "stage")} of {Count(parts[2], "rank")}";
    }

    /// <summary>"1 request", "1,024 tokens".</summary>
    public static string Count(long number, string thing) =>
        Count(number.ToString("N0", CultureInfo.InvariantCulture), thing);

    private static string Count(string number, string thing) => number == "1" ? $"1 {thing}" : $"{number} {thing}s";
}
