namespace SpotServe.Actors.Hosting;

/// <summary>How lines of a log are written.</summary>
public enum LogFormat
{
    /// <summary>For people: time, level, area, source, message.</summary>
    Text,

    /// <summary>For programs: one JSON object a line.</summary>
    Json,
}

/// <summary>What a process logs, and how.</summary>
public sealed record LogOptions(LogFormat Format, LogLevels Levels)
{
    public static LogOptions Default { get; } = new(LogFormat.Text, LogLevels.Default);
}
