using Akka.Actor;
using Akka.Event;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Requests.RequestEvents;

namespace SpotServe.Actors.Requests;

/// <summary>
/// Losses of replicas with the request in the step: counted in the journal, so that neither a restart nor a move
/// forgets them. Beyond <see cref="RequestOptions.LossesMax"/> the request runs alone, each time after the journal has
/// taken that in: only then does a loss tell something about it.
/// </summary>
internal sealed partial class RequestEntity
{
    private readonly List<LossCounted> _lossesUnwritten = [];
    private readonly List<LossCounted> _lossesWriting = [];
    private Epoch? _permitted;
    private (Epoch Epoch, IActorRef Replica)? _alone;
    private (Epoch Epoch, IActorRef Replica)? _aloneWriting;
    private bool _submitIsHeld;

    private NextAttempt NextOf(ReplayBudget budget) => budget.Next(_options.LossesMax, _options.LossesAloneMax);

    /// <summary>The budget once the losses that are on their way into the journal are there.</summary>
    private ReplayBudget Expected()
    {
        var budget = _state.Replays.OnCommitted(_intake.NextIndex);
        foreach (var loss in _lossesWriting.Concat(_lossesUnwritten))
            budget = budget.OnLoss(_intake.NextIndex, loss.WasTogether);
        return budget;
    }

    /// <summary>Whether a submission waits: a loss that changes how the request runs is in the journal before
    /// that. One that changes nothing is written meanwhile, so that recovery waits for no write.</summary>
    private bool IsHeld(NextAttempt next)
    {
        if (_ending is not null) return true;
        var isUnwritten = _lossesUnwritten.Count + _lossesWriting.Count > 0;
        _submitIsHeld = isUnwritten && next != NextAttempt.Together;
        return _submitIsHeld || next == NextAttempt.None;
    }

    /// <param name="epoch">Of the lost replica. Where it has not run alone in that very epoch, it was handed over
    /// since, and not permitted again yet.</param>
    private void CountLoss(Epoch epoch)
    {
        _lossesUnwritten.Add(new LossCounted(_id, _clock.GetUtcNow(), WasTogether: _permitted != epoch));
        WritePending();
    }

    private void OnAloneDue(ReplicaProtocol.AloneDue due)
    {
        _heard++;
        _alone = (due.Epoch, Sender);
        WritePending();
    }

    private void AddReplays(List<IRequestEvent> batch)
    {
        _lossesWriting.AddRange(_lossesUnwritten);
        _lossesUnwritten.Clear();
        (_aloneWriting, _alone) = (_alone, null);
        batch.AddRange(_lossesWriting);
        if (_aloneWriting is not null) batch.Add(new TriedAlone(_id, _clock.GetUtcNow()));
    }

    /// <summary>What follows from losses and permits that are in the journal now.</summary>
    private void AfterReplays()
    {
        _lossesWriting.Clear();
        if (_aloneWriting is { } alone)
        {
            _permitted = alone.Epoch;
            alone.Replica.Tell(new ReplicaProtocol.RunAlone(alone.Epoch, _id));
        }

        _aloneWriting = null;
        if (NextOf(_state.Replays) == NextAttempt.None) EndAsCause();
        else if (_submitIsHeld) Submit();
    }

    private void EndAsCause()
    {
        _log.Error("{Id} is ended: replicas were lost with it in the step, at last while it ran alone", _id);
        End(
            FinishReason.Failed,
            $"Replicas were lost with this request in their step again and again, {_options.LossesAloneMax} of them " +
            "while it ran alone and got nowhere. It is taken for the cause and is not tried again.");
    }
}
