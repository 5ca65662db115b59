using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Fragments;

namespace SpotServe.Actors.Planner;

/// <summary>
/// How the planner sends what grows with the cluster and its requests. It repeats each command until it is answered, so
/// one that finds no room now goes later.
/// </summary>
internal sealed class PlannerPost(ActorSystem system, IActorRef planner)
{
    private readonly LargeMessages _large = LargeMessages.Of(system);
    private readonly ILoggingAdapter _log = Logging.GetLogger(system, typeof(PlannerActor));

    /// <summary>Sends a command or an answer of any length.</summary>
    public void Send(IActorRef target, object message)
    {
        if (_large.Tell(target, message, planner) is { } refusal) Note(message, target, refusal);
    }

    /// <summary>Sends the cluster as it is now, which makes any view worthless that still waits to be sent.</summary>
    public void SendView(IActorRef gateway, ClusterProtocol.PlannerView view)
    {
        if (_large.TellLatest(gateway, view, planner) is { } refusal) Note(view, gateway, refusal);
    }

    private void Note(object message, IActorRef target, SendRefusal refusal) => _log.Warning(
        "{Message} could not be sent to {Target}: {Reason}", message.GetType().Name, target, refusal.Reason);
}
