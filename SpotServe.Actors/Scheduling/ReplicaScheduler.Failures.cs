using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// What becomes of the sequences of a step that failed. Those that the failure names end; the others run the same
/// chunks again, as nothing that the step wrote counts. When it names nobody, all of the step are suspects: they run
/// apart, in ever smaller sets, until the culprit is alone.
/// </summary>
public sealed partial class ReplicaScheduler
{
    private readonly ApartSets _apart = new();
    private bool _apartIsDue;
    private Sequence? _alone;

    /// <summary>Steps that failed so far.</summary>
    public long StepsFailed { get; private set; }

    /// <summary>Sequences that failed alone, for reasons that name nobody, since a step last succeeded. Many in a row
    /// mean that not they are at fault.</summary>
    public int UnexplainedEndsInARow { get; private set; }

    /// <summary>The sequence that could run alone if it were permitted; null when there is none, or when another one
    /// does. The same until it is permitted, or over.</summary>
    public RequestId? AwaitingPermit
    {
        get
        {
            if (_alone is { RunsAlone: true, Phase: SequencePhase.Prefill or SequencePhase.Decode } current)
                return current.AwaitsPermit ? current.Id : null;
            _alone = null;
            foreach (var set in _apart.Sets)
            {
                if (set.First is { AwaitsPermit: true } next) return (_alone = next).Id;
            }

            return null;
        }
    }

    /// <summary>The sequence that runs alone now: nobody else's step is under way meanwhile, so that a loss is a loss
    /// with it alone.</summary>
    private Sequence? RunningAlone =>
        _alone is { RunsAlone: true, AwaitsPermit: false, Phase: SequencePhase.Prefill or SequencePhase.Decode }
            ? _alone
            : null;

    /// <summary>Lets a sequence run alone.</summary>
    /// <returns>False when it is not the one whose turn that is.</returns>
    public bool Permit(RequestId id)
    {
        if (_alone is not { AwaitsPermit: true } alone || alone.Id != id) return false;
        alone.AwaitsPermit = false;
        return true;
    }

    private void Fail(StepsInFlight.Step step, StepFailure failure)
    {
        StepsFailed++;
        List<Sequence>? suspects = null;
        for (var chunk = 0; chunk < step.Sequences.Count; chunk++)
        {
            var sequence = step.Sequences[chunk];
            sequence.TokensInFlight = 0;
            if (sequence.Phase == SequencePhase.Cancelled) OnCancelledReturned(sequence);
            else if (ReasonFor(chunk, failure) is { } reason) End(sequence, reason);
            else if (failure.Faults.IsEmpty && step.Sequences.Count > 1) (suspects ??= []).Add(sequence);
            else if (failure.Faults.IsEmpty) EndUnexplained(sequence, failure.Reason);
            else MakeReady(sequence);
        }

        if (suspects is null) return;
        foreach (var suspect in suspects) suspect.ApartUntil ??= suspect.CachedTokens;
        _apart.AddHalves(suspects);
    }

    private void EndUnexplained(Sequence sequence, string reason)
    {
        UnexplainedEndsInARow++;
        End(sequence, reason);
    }

    private void End(Sequence sequence, string reason)
    {
        var freed = Finish(sequence);
        _outcomes.Add(new SequenceOutcome(
            sequence, sequence.GeneratedCount, null, FinishReason.Failed, freed, reason));
    }

    private static string? ReasonFor(int chunk, StepFailure failure)
    {
        foreach (var fault in failure.Faults)
        {
            if (fault.Chunk == chunk) return fault.Reason;
        }

        return null;
    }

    /// <summary>Fills the step from the first set that can run: with its sequences and nobody else.</summary>
    private void PlanApart(StepPlan plan, StepsInFlight.Step step)
    {
        var alone = RunningAlone;
        foreach (var set in _apart.Sets)
        {
            if (alone is not null && set.First != alone) continue;
            var sequence = set.First is { AwaitsPermit: true } ? null : set.First;
            while (sequence is not null && plan.TokenCount < _limits.StepTokensMax)
            {
                var room = sequence.Phase == SequencePhase.Decode ? MakeRoom(sequence) : Room.Ready;
                var next = sequence.Next; // Read after MakeRoom, which may have suspended the neighbour.
                if (room == Room.Ready)
                {
                    var left = sequence.TokenCount - sequence.CachedTokens;
                    var budget = Math.Min(_limits.PrefillChunkTokensMax, _limits.StepTokensMax - plan.TokenCount);
                    set.Remove(sequence);
                    AddChunk(plan, step, sequence, Math.Min(left, budget));
                }
                else if (room == Room.None)
                {
                    Suspend(sequence);
                }

                sequence = next;
            }

            _apart.MoveLast(set);
            if (plan.TokenCount > 0) return;
        }
    }

    /// <summary>Puts a running sequence that is in no step where the next one finds it.</summary>
    private void MakeReady(Sequence sequence)
    {
        if (sequence.ApartUntil is not null) _apart.Add(sequence);
        else if (sequence.Phase == SequencePhase.Decode) _decodeReady.AddLast(sequence);
        else _prefillReady.AddBySeniority(sequence);
    }
}
