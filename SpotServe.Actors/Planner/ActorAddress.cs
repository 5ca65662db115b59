using Akka.Actor;

namespace SpotServe.Actors.Planner;

/// <summary>What is behind an address of the core's.</summary>
internal sealed record ActorAddress(IActorRef Actor) : IAddress
{
    public static IActorRef ActorOf(IAddress address) => ((ActorAddress)address).Actor;
}
