using System.Collections.Concurrent;
using Akka.Actor;

namespace SpotServe.Actors.Fragments;

/// <summary>Which actors run in one process, and which relay is a process's. A seam: simulated processes share one
/// actor system.</summary>
internal interface IFragmentRoutes
{
    /// <summary>Messages between the two are not written at all.</summary>
    bool AreTogether(IActorRef one, IActorRef other);

    /// <summary>The relay of the process that the actor runs in.</summary>
    IActorRef RelayOf(IActorRef actor);
}

/// <summary>A process is an address of Akka.Remote.</summary>
internal sealed class AddressRoutes(ExtendedActorSystem system) : IFragmentRoutes
{
    /// <summary>Addresses are kept for as many processes as a cluster has; then all are looked up anew.</summary>
    private const int KnownMax = 10_000;

    private readonly ConcurrentDictionary<Address, IActorRef> _relays = new();

    public bool AreTogether(IActorRef one, IActorRef other) => AddressOf(one) == AddressOf(other);

    public IActorRef RelayOf(IActorRef actor)
    {
        var address = AddressOf(actor);
        if (_relays.Count > KnownMax) _relays.Clear();
        return _relays.GetOrAdd(address, static (at, provider) => provider.ResolveActorRef(
            new RootActorPath(at) / "user" / FragmentRelay.Name), system.Provider);
    }

    private Address AddressOf(IActorRef actor)
    {
        var address = actor.Path.Address;
        return address.HasLocalScope ? system.Provider.DefaultAddress : address;
    }
}
