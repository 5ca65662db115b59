namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Who waits for pages. Those that had some before, here or elsewhere, come first, by seniority; of the newcomers the
/// next is the one whose client got least. So seniority settles who may take whose pages, where an order that moves
/// would have sequences suspend each other in turn, and fairness settles who comes to have any.
/// </summary>
public sealed partial class ReplicaScheduler
{
    private void Wait(Sequence sequence)
    {
        if (sequence.IsNewcomer) sequence.Place = _newcomers.Add(sequence.Spec.Standing, sequence);
        else _waiting.AddBySeniority(sequence);
    }

    private Sequence? NextWaiting() =>
        _waiting.First ?? (_newcomers.TryPeek(out var next) ? next.Item : null);

    /// <summary>A newcomer has its first pages: its client is charged with what it computes, and with what is expected
    /// to follow.</summary>
    private void Welcome(Sequence sequence)
    {
        Invariant.Holds(sequence.Place is not null, "a newcomer waits among newcomers");
        sequence.Charge = _newcomers.Take(
            sequence.Place, sequence.TokenCount - sequence.CachedTokens, sequence.TokensEnd - sequence.TokenCount);
        sequence.Place = null;
        sequence.IsNewcomer = false;
        sequence.Ticket = ++_lastTicket;
    }

    /// <summary>It is over: its client pays for what it got. What was computed again, because it had to give its pages
    /// up or its replica was lost, is nobody's fault and costs nothing.</summary>
    private void Settle(Sequence sequence)
    {
        if (sequence.Place is { } place) _newcomers.Remove(place);
        if (sequence.Charge is { } charge) _newcomers.Settle(charge, sequence.GeneratedCount - sequence.SubmittedCount);
        sequence.Place = null;
        sequence.Charge = null;
    }
}
