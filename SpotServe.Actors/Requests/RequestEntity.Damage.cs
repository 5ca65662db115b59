using Akka.Actor;
using Akka.Event;
using Akka.Persistence;
using SpotServe.Actors.Persistence;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Requests.RequestEvents;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Requests;

/// <summary>
/// A request one of whose entries cannot be read, or contradicts those before it. It does not go on: what it would
/// generate has no place among the entries behind the damaged one. But it is there, and says so to whoever asks.
/// </summary>
internal sealed partial class RequestEntity
{
    private DamagedEntry? _damage;

    private string DamageText => $"{_damage!.Where}: the request is lost. DELETE it, or have the journal restored.";

    private void OnReplayed(IRequestEvent happened)
    {
        if (_damage is not null) return;
        try
        {
            _state.Apply(happened);
        }
        catch (InvariantException contradiction)
        {
            OnDamaged(new DamagedEntry(PersistenceId, LastSequenceNr, contradiction.Message));
        }
    }

    private void OnDamaged(DamagedEntry entry)
    {
        if (_damage is not null) return;
        _damage = entry;
        if (_options.Journal.RequestLost(_id, entry)) _log.Error("{Where}: request {Id} is lost", entry.Where, _id);
    }

    private void BecomeDamaged()
    {
        Become(Damaged);
        // It is no request of a gateway's any more.
        _gateway.Tell(new RouteEnded(_id));
    }

    private void Damaged()
    {
        Command<Subscribe>(OnSubscribeDamaged);
        Command<Describe>(_ => Sender.Tell(new Damaged(_id, DamageText)));
        Command<CancelRequest>(_ => OnDeleteDamaged());
        Command<DeleteMessagesSuccess>(_ => OnDeletedDamaged());
        Command<DeleteMessagesFailure>(failure =>
            _log.Warning("{Id} could not delete its journal: {Reason}", _id, failure.Cause.Message));
        Command<Accept>(_ => Sender.Tell(new NotAccepted(_id, DamageText)));
        Command<IMessage>(_ => { });
        Command<ReplicaProtocol.IEvent>(Disown);
    }

    /// <summary>What was committed before the damage is as good as it was.</summary>
    private void OnSubscribeDamaged(Subscribe command)
    {
        var from = Math.Max(0, command.FromIndex);
        var shown = new TokensAvailable(_id, from, _state.TokensFrom(from), FinishReason.Failed, DamageText);
        if (_large.Tell(Sender, shown, Self) is { } refusal)
            _log.Warning("{Id} could not say that it is lost: {Reason}", _id, refusal.Reason);
    }

    private void OnDeleteDamaged()
    {
        if (!Sender.IsNobody() && _cancellers.Count < _options.SubscribersMax) _cancellers.Add(Sender);
        DeleteMessages(long.MaxValue);
    }

    private void OnDeletedDamaged()
    {
        foreach (var canceller in _cancellers) canceller.Tell(new HasEnded(_id, FinishReason.Failed));
        _cancellers.Clear();
        Leave();
    }
}
