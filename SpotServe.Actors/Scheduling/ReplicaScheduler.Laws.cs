namespace SpotServe.Actors.Scheduling;

/// <summary>What is always true of a scheduler between two calls.</summary>
public sealed partial class ReplicaScheduler
{
    private readonly int[] _tables;

    /// <summary>Checks every law, linear in sequences and pages: after each step in tests.</summary>
    /// <exception cref="InvariantException">A law is broken; the message says which.</exception>
    public void CheckLaws()
    {
        Invariant.Holds(_steps.Count <= _limits.StepsInFlightMax);
        Invariant.Holds(_running.Count <= _limits.SequencesMax);
        Invariant.Holds(_sequences.Count <= _limits.QueuedRequestsMax + _limits.SequencesMax + _adoptedCount);

        _tables.AsSpan().Clear();
        var inFlight = CheckStepsInFlight();
        var prefilling = 0;
        foreach (var sequence in _running)
        {
            CheckRunning(sequence);
            if (sequence.Phase == SequencePhase.Prefill) prefilling++;
            if (!sequence.IsInFlight) CheckPages(sequence);
        }

        Invariant.Holds(prefilling == _prefilling);
        _pages.CheckLaws(_tables);
        Invariant.Holds(
            inFlight - _cancelledInFlight + _prefillReady.Count + _decodeReady.Count + _apart.Count
                == _running.Count,
            "a running sequence is ready or in flight");
        Invariant.Holds(
            _running.Count + WaitingCount == _sequences.Count, "a sequence either runs or waits");
        for (var sequence = _waiting.First; sequence is not null; sequence = sequence.Next) CheckWaiting(sequence);
        CheckNewcomers();
    }

    private void CheckNewcomers()
    {
        _newcomers.CheckLaws();
        foreach (var sequence in _newcomers.Items)
        {
            Invariant.Holds(_sequences.TryGetValue(sequence.Id, out var known) && known == sequence);
            Invariant.Holds(sequence is { IsNewcomer: true, Phase: SequencePhase.Waiting, Container: null });
            Invariant.Holds(sequence.PageList.Count == 0, "a newcomer holds no pages");
            Invariant.Holds(sequence.CachedTokens == 0);
        }
    }

    private int CheckStepsInFlight()
    {
        var sequences = 0;
        var cancelled = 0;
        var seen = new HashSet<Sequence>(ReferenceEqualityComparer.Instance);
        for (var age = 0; age < _steps.Count; age++)
        {
            Invariant.Holds(_steps[age].Id == _lastStepId - _steps.Count + 1 + age, "step ids have no gaps");
            foreach (var sequence in _steps[age].Sequences)
            {
                Invariant.Holds(seen.Add(sequence), "a sequence is in at most one step in flight");
                Invariant.Holds(sequence.IsInFlight);
                Invariant.Holds(sequence.Container is null);
                if (sequence.Phase == SequencePhase.Cancelled) cancelled++;
                CheckPages(sequence);
                sequences++;
            }
        }

        Invariant.Holds(cancelled == _cancelledInFlight);
        return sequences;
    }

    private void CheckRunning(Sequence sequence)
    {
        Invariant.Holds(_sequences.TryGetValue(sequence.Id, out var known) && known == sequence);
        Invariant.Holds(sequence.Phase is SequencePhase.Prefill or SequencePhase.Decode);
        Invariant.Holds(sequence is { IsNewcomer: false, Place: null });
        Invariant.Holds(sequence.TokenCount < sequence.TokensEnd);
        Invariant.Holds(sequence.CachedTokens + sequence.TokensInFlight <= sequence.TokenCount);
        if (sequence.IsInFlight) return;
        var decodes = sequence.Phase == SequencePhase.Decode;
        if (sequence.ApartUntil is not null) Invariant.Holds(_apart.Contains(sequence.Container));
        else Invariant.Holds(sequence.Container == (decodes ? _decodeReady : _prefillReady));
        Invariant.Holds(!decodes || sequence.CachedTokens == sequence.TokenCount - 1);
    }

    private void CheckPages(Sequence sequence)
    {
        Invariant.Holds(sequence.CachedTokens + sequence.TokensInFlight
            <= sequence.PageList.Count * KvPage.Tokens);
        foreach (var page in sequence.PageList) _tables[page]++;
        // What it still has to write is its own, and nobody finds it.
        for (var page = sequence.CachedTokens / KvPage.Tokens; page < sequence.PageList.Count; page++)
        {
            var id = sequence.PageList[page];
            Invariant.Holds(_pages.UsersOf(id) == 1 && !_pages.IsKept(id), "a page that is written has one owner");
        }
    }

    private void CheckWaiting(Sequence sequence)
    {
        Invariant.Holds(sequence.Phase == SequencePhase.Waiting);
        Invariant.Holds(sequence.Container == _waiting);
        Invariant.Holds(!sequence.IsNewcomer);
        Invariant.Holds(sequence.PageList.Count == 0, "a waiting sequence holds no pages");
        Invariant.Holds(sequence.CachedTokens == 0);
        Invariant.Holds(sequence.Next is null || sequence.IsSeniorTo(sequence.Next), "the queue is in order");
    }
}
