using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Persistence;
using static SpotServe.Actors.Requests.RequestEvents;
using static SpotServe.Actors.Requests.RequestProtocol;

namespace SpotServe.Actors.Requests;

/// <summary>
/// What becomes of a request that its journal does not take or give. Akka stops an entity after a failed write, because
/// nobody knows what was written; the next one, started by a reader or by the keeper, reads what is there and goes on.
/// </summary>
internal sealed partial class RequestEntity
{
    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        // Once for all requests, not once for each: a full disk fails thousands of them in a second.
        if (_options.Journal.Trouble is null)
            _log.Warning("The journal did not take event {Number} of {Id}: {Reason}", sequenceNr, _id, cause.Message);
        if (!JournalConflict.IsIn(cause)) _options.Journal.Failed(cause.Message);
        if (@event is RequestAccepted) _acceptedFor?.Tell(new NotAccepted(_id, cause.Message));
    }

    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        if (JournalHealth.DamageIn(reason) is not { } damage)
        {
            _log.Warning("The journal did not give {Id} back: {Reason}", _id, reason.Message);
            return;
        }

        // The keeper wakes it every few seconds for as long as it is there: once is enough.
        var isNew = _options.Journal.Damaged(
            $"Request {_id} cannot be read from the journal and is lost: {damage.TrimEnd('.')}. The others go on. " +
            $"To be rid of it: DELETE FROM journal WHERE persistence_id = '{PersistenceId}'");
        if (isNew) _log.Error("Request {Id} cannot be read from the journal: {Reason}", _id, damage);
    }
}
