using System.CommandLine;

namespace SpotServe.Actors.Hosting;

/// <summary>Options that say what a process logs and how: the same for control nodes and nodes.</summary>
public sealed class LogFlags
{
    private const string FormatName = "--log";
    private const string LevelName = "--log-level";

    private Option<string> Format { get; } = new(FormatName)
    {
        Description = "text: logs are for people; json: one JSON object a line, also for what the terminal is told.",
        HelpName = "text|json",
        DefaultValueFactory = _ => "text",
    };

    private Option<string[]> Level { get; } = new(LevelName)
    {
        Description = "What is logged: LEVEL for all, AREA=LEVEL for an area (Planner=debug); may be given again.",
        HelpName = "[AREA=]LEVEL",
    };

    public IEnumerable<Option> All => [Format, Level];

    /// <exception cref="UsageException">No such format, area or level.</exception>
    public LogOptions Read(ParseResult parsed) => new(
        parsed.GetValue(Format) switch
        {
            "text" => LogFormat.Text,
            "json" => LogFormat.Json,
            var other => throw new UsageException($"{FormatName} is {other}; it must be text or json."),
        },
        LogLevels.Read(parsed.GetValue(Level) ?? []));

    /// <summary>The same for a process that this one starts.</summary>
    public static string[] Arguments(LogOptions options) =>
        [FormatName, options.Format == LogFormat.Json ? "json" : "text", LevelName, options.Levels.ToString()];
}
