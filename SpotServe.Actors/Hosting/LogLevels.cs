using System.Collections.Frozen;
using System.Collections.Immutable;
using Microsoft.Extensions.Logging;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// From which level on each area is logged. An area is a folder of this program (the part of a type's namespace behind
/// the project), or whoever else logs: Akka, Microsoft.
/// </summary>
public sealed class LogLevels
{
    private const string Akka = "Akka";
    private const string Microsoft = "Microsoft";
    private const string Own = "SpotServe";

    private readonly LogLevel _others;
    private readonly FrozenDictionary<string, LogLevel> _stated;

    private LogLevels(LogLevel others, IReadOnlyDictionary<string, LogLevel> stated)
    {
        _others = others;
        _stated = stated.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);
    }

    /// <summary>All areas whose level can be stated; a test holds them to the folders.</summary>
    public static ImmutableArray<string> Areas { get; } =
    [
        Akka, "Api", "Bench", "Cluster", "Commands", "Dashboard", "DataPlane", "Engine", "Execution", "Fleet",
        "Fragments", "Gateway", "Hosting", "Lifetime", "Metrics", Microsoft, "ModelFolder", "Narration", "Persistence",
        "Planner", "Planning", "Preemption", "Recorder", "Remoting", "Replica", "Requests", "Scheduling",
        "Serialization", "Simulation", "Templating", "Threads", "Tokenization", "Tracing", "Vocabulary", "Weights",
    ];

    /// <summary>Information, and of Microsoft's parts warnings.</summary>
    public static LogLevels Default { get; } = new(LogLevel.Information, new Dictionary<string, LogLevel>());

    /// <summary>The lowest level that anybody logs from.</summary>
    public LogLevel Lowest => _stated.Values.Append(_others).Min();

    /// <summary>Reads what was stated: "debug" for this program's own areas, "Planner=debug" for one.</summary>
    /// <param name="texts">Each may state several, with commas between.</param>
    /// <exception cref="UsageException">No such area or level.</exception>
    public static LogLevels Read(IEnumerable<string> texts)
    {
        var others = Default._others;
        var stated = new Dictionary<string, LogLevel>(StringComparer.OrdinalIgnoreCase);
        foreach (var text in texts.SelectMany(text => text.Split(',', StringSplitOptions.TrimEntries)))
        {
            switch (text.Split('=', StringSplitOptions.TrimEntries))
            {
                case [var level]:
                    others = ReadLevel(level, text);
                    break;
                case [var area, var level] when Areas.Contains(area, StringComparer.OrdinalIgnoreCase):
                    stated[area] = ReadLevel(level, text);
                    break;
                case [var area, _]:
                    throw new UsageException(
                        $"--log-level {text}: there is no area {area}. Areas are {string.Join(", ", Areas)}.");
                default:
                    throw new UsageException($"--log-level {text}: write LEVEL or AREA=LEVEL, e.g. Planner=debug.");
            }
        }

        return new LogLevels(others, stated);
    }

    /// <summary>"SpotServe.Actors.Planner.PlannerActor" is of "Planner", "Akka.Cluster.Cluster" of "Akka".</summary>
    public static string AreaOf(string category) => category.Split('.') switch
    {
        [Own, _, var area, _, ..] => area,
        [var first, ..] => first,
        [] => category,
    };

    public bool IsEnabled(string area, LogLevel level) => level != LogLevel.None && level >= From(area);

    /// <summary>As the option takes it.</summary>
    public override string ToString() => string.Join(
        ',', _stated.Select(one => $"{one.Key}={one.Value}").Order(StringComparer.Ordinal).Prepend($"{_others}"));

    private LogLevel From(string area) => _stated.TryGetValue(area, out var level) ? level
        : area == Microsoft ? LogLevel.Warning
        : area == Akka ? LogLevel.Information
        : _others;

    private static LogLevel ReadLevel(string level, string text) =>
        Enum.TryParse<LogLevel>(level, ignoreCase: true, out var known) && Enum.IsDefined(known)
            && !char.IsAsciiDigit(level[0])
            ? known
            : throw new UsageException(
                $"--log-level {text}: {level} is no level; it must be one of "
                + $"{string.Join(", ", Enum.GetNames<LogLevel>().Select(name => name.ToLowerInvariant()))}.");
}
