using Akka.Actor;
using Akka.Event;
using SpotServe.Actors;

namespace SpotServe.Tests.Simulation;

/// <summary>Hears what the actors log: for a person, and because some errors are broken laws.</summary>
internal sealed class SimLog : MinimalActorRef
{
    private readonly SimWorld _world;

    private SimLog(ActorSystem system, SimWorld world)
    {
        _world = world;
        Provider = ((ExtendedActorSystem)system).Provider;
        Path = new RootActorPath(Address.AllSystems, "/simulation-log");
    }

    public override ActorPath Path { get; }

    public override IActorRefProvider Provider { get; }

    public static void Attach(ActorSystem system, SimWorld world)
    {
        var log = new SimLog(system, world);
        system.EventStream.Subscribe(log, world.Log is null ? typeof(Error) : typeof(LogEvent));
    }

    protected override void TellInternal(object message, IActorRef sender)
    {
        if (message is not LogEvent log) return;
        _world.Say($"{log.LogLevel()} {log.LogSource}: {log.Message}{(log.Cause is null ? "" : $" {log.Cause}")}");
        if (log is Error { Cause: { } cause } && IsBug(cause)) _world.Break($"{log.LogSource}: {log.Message}: {cause}");
    }

    private static bool IsBug(Exception error) => error is InvariantException or NullReferenceException
        or KeyNotFoundException or ArgumentException or InvalidCastException or IndexOutOfRangeException
        || (error is ActorInitializationException { InnerException: { } inner } && IsBug(inner));
}
