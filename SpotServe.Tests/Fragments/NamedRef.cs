using Akka.Actor;

namespace SpotServe.Tests.Fragments;

/// <summary>An actor reference that is but a name.</summary>
internal sealed class NamedRef(string name) : MinimalActorRef
{
    public override ActorPath Path { get; } = new RootActorPath(new Address("akka", "names")) / name;

    public override IActorRefProvider Provider => throw new NotSupportedException();
}
