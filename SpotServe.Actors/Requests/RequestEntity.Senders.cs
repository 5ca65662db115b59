using SpotServe.Actors.Replica;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Requests;

/// <summary>
/// Whose words an entity takes: routes from the gateway of its own process; tokens and refusals of the epoch that it is
/// routed to from the replica that it is routed to; those of a newer epoch, to which its sequence was handed over, from
/// a gpu member.
/// </summary>
internal sealed partial class RequestEntity
{
    private bool IsOfAnother(ReplicaProtocol.IEvent message) => _route is not null
        && (message.Epoch == _route.Epoch
            ? !Sender.Equals(_route.Replica)
            : message.Epoch > _route.Epoch && !_guard.MayBeReplica(Sender));

    private void OnWordsOfAnother(ReplicaProtocol.IEvent message) =>
        _guard.Refuse(message, Sender, $"{_id} is routed to {_route!.Replica.Path} in {_route.Epoch}");

    /// <summary>A replica that still has a request that has ended was handed it while the end was on its way to the
    /// one before. It would generate to the last token for nobody, and keep one that is to run alone, for which it
    /// waits for a word of this entity, for ever.</summary>
    private void Disown(ReplicaProtocol.IEvent said)
    {
        if (said is ReplicaProtocol.AloneDue or ReplicaProtocol.TokensGenerated { Finished: null })
            Sender.Tell(new ReplicaProtocol.Cancel(said.Epoch, _id), Self);
    }

    private bool IsOfAnotherGateway(Routed route) => !Sender.Equals(_gateway);

    private void OnRouteOfAnother(Routed route) => _guard.Refuse(route, Sender, $"it is not the gateway of {_id}");
}
