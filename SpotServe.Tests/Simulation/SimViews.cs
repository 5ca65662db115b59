using Akka.Actor;
using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Simulation;

/// <summary>What planners say to gateways, as whole views, at the moment when it is said: nothing is lost
/// here.</summary>
internal sealed class SimViews
{
    private readonly Dictionary<(IActorRef? From, IActorRef To), PlannerView> _said = [];

    /// <returns>Null when the message is no view.</returns>
    public PlannerView? Of(SimMessage message)
    {
        var pair = (message.From, message.To);
        switch (message.Content)
        {
            case PlannerView view:
                return _said[pair] = view;
            case ViewChange change when _said.TryGetValue(pair, out var known)
                && known.Term == change.Term && known.Number == change.From:
                return _said[pair] = ViewDifference.Apply(known, change);
            default:
                return null;
        }
    }
}
