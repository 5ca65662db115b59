using System.Collections;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Dispatch;
using Akka.Event;
using Akka.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using LogLevel = Akka.Event.LogLevel;
using Severity = Microsoft.Extensions.Logging.LogLevel;

namespace SpotServe.Actors.Hosting;

/// <summary>
/// Passes what actors log to the process's loggers, under the type that logs it and with what the message's template
/// names. Akka.Hosting's own logger has all of it under one name, in a form of its own.
/// </summary>
internal sealed class ActorLogger : ReceiveActor, IRequiresMessageQueue<ILoggerMessageQueueSemantics>
{
    private readonly Dictionary<Type, ILogger> _loggers = [];

    public ActorLogger()
    {
        var factory = Context.System.Settings.Setup.Get<ActorLogSetup>().Value.Factory;
        Receive<InitializeLogger>(_ => Sender.Tell(new LoggerInitialized()));
        Receive<LogEvent>(said =>
        {
            if (!_loggers.TryGetValue(said.LogClass, out var logger))
                _loggers.Add(said.LogClass, logger = factory.CreateLogger(said.LogClass.FullName ?? "Akka"));
            var level = SeverityOf(said.LogLevel());
            if (!logger.IsEnabled(level)) return;
            logger.Log(level, default, ActorLogState.Of(said), said.Cause, static (state, _) => state.Message);
        });
    }

    private static Severity SeverityOf(LogLevel level) => level switch
    {
        LogLevel.DebugLevel => Severity.Debug,
        LogLevel.InfoLevel => Severity.Information,
        LogLevel.WarningLevel => Severity.Warning,
        _ => Severity.Error,
    };
}

/// <summary>Where an <see cref="ActorLogger"/> passes to.</summary>
internal sealed class ActorLogSetup(ILoggerFactory factory) : Setup
{
    public ILoggerFactory Factory => factory;
}

/// <summary>What an actor logged.</summary>
/// <param name="source">The actor's path, or what else Akka calls it by.</param>
/// <param name="fields">What the template names.</param>
internal sealed class ActorLogState(
    DateTimeOffset at, string source, string message, IReadOnlyDictionary<string, object>? fields)
    : IEnumerable<KeyValuePair<string, object?>>
{
    public DateTimeOffset At => at;

    public string Source => source;

    public string Message => message;

    public static ActorLogState Of(LogEvent said)
    {
        var at = new DateTimeOffset(DateTime.SpecifyKind(said.Timestamp, DateTimeKind.Utc));
        try
        {
            return new ActorLogState(
                at, said.LogSource, said.Message.ToString() ?? "",
                said.TryGetProperties(out var properties) ? properties : null);
        }
        catch (FormatException error)
        {
            return new ActorLogState(
                at, said.LogSource, $"{(said.Message as LogMessage)?.Format} ({error.Message})", null);
        }
    }

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() =>
        (fields ?? new Dictionary<string, object>())
            .Select(field => KeyValuePair.Create(field.Key, (object?)field.Value)).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

public static class ActorLogHosting
{
    /// <summary>Has actors log where the process logs, and Akka make only what somebody wants.</summary>
    public static AkkaConfigurationBuilder AddActorLog(
        this AkkaConfigurationBuilder builder, IServiceProvider provider, LogLevels levels) => builder
        .AddSetup(new ActorLogSetup(provider.GetRequiredService<ILoggerFactory>()))
        .ConfigureLoggers(loggers =>
        {
            loggers.ClearLoggers();
            loggers.AddLogger<ActorLogger>();
            loggers.LogLevel = levels.Lowest < Severity.Information ? LogLevel.DebugLevel : LogLevel.InfoLevel;
        });
}
