using System.Collections.Immutable;

namespace SpotServe.Actors.Scheduling;

/// <summary>Sequences that leave for another replica or come from one.</summary>
public sealed partial class ReplicaScheduler
{
    /// <summary>All sequences as they are, the most senior first. No step may be in flight.</summary>
    public ImmutableArray<SequenceState> Export()
    {
        Invariant.Holds(_steps.Count == 0, "sequences are handed over at a token boundary");
        var sequences = _sequences.Values.ToArray();
        Array.Sort(sequences, static (one, other) => one == other ? 0 : one.IsSeniorTo(other) ? -1 : 1);
        return [.. sequences.Select(sequence => new SequenceState(
            sequence.Id,
            sequence.Spec,
            [.. sequence.Generated],
            sequence.CachedTokens,
            [.. sequence.Pages[..KvPage.Count(sequence.CachedTokens)]])
        {
            Logprobs = [.. sequence.Logprobs],
            KeptPages = KeptPagesOf(sequence),
            RunsAlone = sequence.RunsAlone,
        })];
    }

    /// <summary>
    /// Begins with sequences of other replicas, before the first request. Those that come with pages go on from them,
    /// in the phase in which they were; where slots or pages are too few, the most advanced do, and the rest wait with
    /// their tokens. They are senior to all later requests, as continued ones are.
    /// </summary>
    /// <param name="sequences">Distinct ids; pages are of this replica and free. A page in several tables is
    /// shared.</param>
    public Adoption Adopt(IReadOnlyList<SequenceState> sequences)
    {
        Invariant.Holds(IsIdle && _lastStepId == 0, "sequences are adopted before anything runs");
        List<(Sequence Sequence, SequenceState State)> adopted = [];
        List<EndedSequence> ended = [];
        foreach (var state in sequences.OrderByDescending(state => state.Generated.Length))
        {
            var request = new GenerationRequest(state.Id, state.Spec, state.Generated) { RunsAlone = state.RunsAlone };
            var sequence = new Sequence(request, _lastTicket + 1, _limits);
            if (sequence.Ending is { } reason)
            {
                ended.Add(new EndedSequence(state, reason));
                continue;
            }

            _lastTicket++;
            sequence.TakeOver(state.Logprobs.AsSpan());
            _sequences.Add(sequence.Id, sequence);
            sequence.CachedBefore = state.CachedTokens;
            adopted.Add((sequence, state));
        }

        _adoptedCount = adopted.Count;
        // First the pages that cannot be others, then those that only have to be some.
        foreach (var (sequence, state) in adopted) TakeOverPages(sequence, state);
        var recomputed = 0L;
        foreach (var (sequence, state) in adopted)
        {
            Place(sequence);
            recomputed += state.CachedTokens - sequence.CachedTokens;
        }

        return new Adoption(_running.Count, WaitingCount, recomputed, [.. ended]);
    }

    /// <summary>Sets free pages aside for others, below <paramref name="end"/>. Leaves those that run their next page,
    /// and enough for the longest sequence, so that the most senior one can always finish.</summary>
    public ImmutableArray<int> SetAsidePages(int countMax, int end)
    {
        var free = _pages.FreeCount - HeldBackPages();
        var spare = _limits.PageCount - _pages.AsideCount - KvPage.Count(_limits.ContextMax);
        return _pages.SetAside(Math.Max(0, Math.Min(countMax, Math.Min(free, spare))), end);
    }

    /// <summary>Sets these very pages aside, whatever remains: somebody else may still write to them.</summary>
    public void SetAsidePages(ReadOnlySpan<int> pages) => _pages.SetAside(pages);

    /// <summary>Frees pages that were set aside.</summary>
    public void GiveBackPages(ReadOnlySpan<int> pages) => _pages.GiveBack(pages);

    private void TakeOverPages(Sequence sequence, SequenceState state)
    {
        // One whose prompt was being scored begins anew: the scores so far do not come along.
        if (state.Pages.IsEmpty || sequence.NeedsScores || _running.Count >= _limits.SequencesMax) return;
        Invariant.Holds(state.CachedTokens > 0 && state.CachedTokens < sequence.TokenCount);
        Invariant.Holds(state.Pages.Length == KvPage.Count(state.CachedTokens));
        _pages.Take(state.Pages.AsSpan(), sequence.PageList);
        sequence.CachedTokens = state.CachedTokens;
        KeepAdopted(sequence, state);
        _running.Add(sequence);
    }

    /// <summary>What its last replica kept for others is kept here as well.</summary>
    private void KeepAdopted(Sequence sequence, SequenceState state)
    {
        var kept = Math.Min(state.KeptPages, sequence.Keys.Length);
        var full = Math.Min(state.CachedTokens / KvPage.Tokens, sequence.Keys.Length);
        sequence.KeepsPages = kept == full;
        for (var page = 0; page < kept; page++)
        {
            var id = sequence.PageList[page];
            if (!_pages.IsKept(id) && !_pages.TryFind(sequence.Keys[page], out _)) _pages.Keep(id, sequence.Keys[page]);
        }
    }

    private void Place(Sequence sequence)
    {
        // One that had pages at its last replica is none, though it has no token yet.
        sequence.IsNewcomer &= sequence.CachedBefore == 0;
        if (sequence.PageList.Count == 0)
        {
            Wait(sequence);
            return;
        }

        if (sequence.CachedTokens == sequence.TokenCount - 1 && sequence.GeneratedCount > 0)
        {
            sequence.Phase = SequencePhase.Decode;
            MakeReady(sequence);
            return;
        }

        var missing = KvPage.Count(sequence.TokenCount) - sequence.PageList.Count;
        if (_pages.TryTake(missing, sequence.PageList))
        {
            sequence.Phase = SequencePhase.Prefill;
            _prefilling++;
            MakeReady(sequence);
            return;
        }

        _running.Remove(sequence);
        _pages.Release(sequence.PageList);
        sequence.CachedTokens = 0;
        Wait(sequence);
    }
}
