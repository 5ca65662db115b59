using Akka.Event;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Akka's logger for the time before the real loggers run and after they ended. The terminal is a person's: only what
/// is broken is worth a line on it, while Akka itself says there at INFO that remoting was shut down.
/// </summary>
public sealed class LastLogger : MinimalLogger
{
    protected override void Log(object message)
    {
        if (message is LogEvent said && said.LogLevel() >= LogLevel.ErrorLevel) Console.Error.WriteLine(said);
    }
}
