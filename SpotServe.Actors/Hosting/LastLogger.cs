using Akka.Event;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Akka's logger for the time before the real loggers run and after they ended. The terminal is a person's: only what
/// is broken is worth a line on it, while Akka itself says there at INFO that remoting was shut down. What remoting
/// calls an error is told already by whoever starts the system, who gets it as an exception; at the end it is nobody's
/// loss.
/// </summary>
internal sealed class LastLogger : MinimalLogger
{
    protected override void Log(object message)
    {
        if (message is LogEvent said && IsWorthALine(said)) Console.Error.WriteLine(said);
    }

    /// <summary>
    /// Errors, but not those of remoting: "terminated abruptly", for one, comes or not by chance when a start fails.
    /// </summary>
    internal static bool IsWorthALine(LogEvent said) =>
        said.LogLevel() >= LogLevel.ErrorLevel && !said.LogSource.StartsWith("remoting", StringComparison.Ordinal);
}
