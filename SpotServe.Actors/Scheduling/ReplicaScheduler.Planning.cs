using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Scheduling;

/// <summary>Filling a step: decode, admission, prefill, and whom to suspend.</summary>
public sealed partial class ReplicaScheduler
{
    private enum Room
    {
        /// <summary>The sequence has a slot for its next token.</summary>
        Ready,

        /// <summary>Pages come free when a step completes, or when those set aside are given back.</summary>
        Later,

        /// <summary>All that run are senior to it: it must give its own pages up.</summary>
        None,
    }

    /// <summary>Takes ready sequences in the order in which they became ready, so that each has its turn.</summary>
    private void PlanDecode(StepPlan plan, StepsInFlight.Step step)
    {
        // Of all that run, not of those that decode: as prefills end one after another, these groups are right at once.
        var chunksEnd = Share(_running.Count);
        var sequence = _decodeReady.First;
        while (sequence is not null && plan.Chunks.Length < chunksEnd && plan.TokenCount < _limits.StepTokensMax)
        {
            var room = MakeRoom(sequence);
            var next = sequence.Next; // Read after MakeRoom, which may have suspended the neighbour.
            if (room == Room.Ready)
            {
                _decodeReady.Remove(sequence);
                AddChunk(plan, step, sequence, 1);
            }
            else if (room == Room.None)
            {
                Suspend(sequence);
            }

            sequence = next;
        }
    }

    private void AdmitWaiting()
    {
        // More than the next P steps can take would only keep pages from those that run.
        var tokensMax = (long)_limits.StepsInFlightMax * _limits.StepTokensMax;
        if (WaitingCount == 0 || _running.Count >= _limits.SequencesMax) return;
        var tokens = PrefillTokens();
        while (NextWaiting() is { } sequence && _running.Count < _limits.SequencesMax && tokens < tokensMax)
        {
            // Strictly in order: a short one that slipped past a long one could keep it out for ever.
            if (!TryTakeAll(sequence)) return;
            if (sequence.IsNewcomer) Welcome(sequence);
            else _waiting.Remove(sequence);
            sequence.Phase = SequencePhase.Prefill;
            if (sequence.Residence == 1) _admitted.Add(sequence);
            _running.Add(sequence);
            _prefilling++;
            MakeReady(sequence);
            tokens += sequence.TokenCount - sequence.CachedTokens;
        }
    }

    /// <summary>Takes the pages of all its tokens: those that are kept already, and free ones for the rest.</summary>
    /// <returns>False when too few are free; it has none then.</returns>
    private bool TryTakeAll(Sequence sequence)
    {
        Invariant.Holds(sequence.PageList.Count == 0 && sequence.CachedTokens == 0);
        var (hits, reused, before) = (PrefixHits, sequence.ReusedTokens, sequence.CachedBefore);
        sequence.Residence++;
        sequence.KeepsPages = true;
        Reuse(sequence);
        var needed = KvPage.Count(sequence.TokenCount) - sequence.PageList.Count;
        if (needed + HeldBackPages() <= _pages.FreeCount)
        {
            var taken = _pages.TryTake(needed, sequence.PageList);
            Invariant.Holds(taken);
            if (sequence.Residence == 1 && _limits.PrefixRoot is not null) PrefixQueries += sequence.TokenCount;
            return true;
        }

        _pages.Release(sequence.PageList);
        (PrefixHits, sequence.ReusedTokens, sequence.CachedBefore) = (hits, reused, before);
        sequence.CachedTokens = 0;
        sequence.Residence--;
        return false;
    }

    private void PlanPrefill(StepPlan plan, StepsInFlight.Step step)
    {
        var decodes = plan.Chunks.Length;
        var chunksEnd = decodes + Share(_prefilling);
        var sequence = _prefillReady.First;
        while (sequence is not null && plan.Chunks.Length < chunksEnd)
        {
            var next = sequence.Next;
            Reuse(sequence);
            if (!IsComputedByAnother(sequence))
            {
                var wanted = NextPrefill(sequence);
                var budget = _limits.StepTokensMax - plan.TokenCount;
                // One that does not fit whole waits, so that it is cut where it always is; the first one goes on
                // regardless.
                if (budget == 0 || (wanted > budget && plan.Chunks.Length > decodes)) return;
                _prefillReady.Remove(sequence);
                Claim(sequence);
                AddChunk(plan, step, sequence, Math.Min(wanted, budget));
            }

            sequence = next;
        }
    }

    /// <summary>Tokens up to where the sequence is cut next: at multiples of the chunk's length, and between prompt and
    /// generated tokens. Where a cache is computed again, each token is then computed in the same company as
    /// before.</summary>
    private int NextPrefill(Sequence sequence)
    {
        var start = sequence.CachedTokens;
        if (start < sequence.PromptCount) return sequence.Cuts.EndAfter(start) - start;
        var length = _limits.PrefillChunkTokensMax;
        return Math.Min(sequence.TokenCount - start, length - (start % length));
    }

    /// <summary>Finds a page for the next token where one is needed, if need be by suspending a junior.</summary>
    private Room MakeRoom(Sequence sequence)
    {
        if (sequence.CachedTokens < sequence.PageList.Count * KvPage.Tokens) return Room.Ready;
        while (!_pages.TryTake(1, sequence.PageList))
        {
            if (_cancelledInFlight > 0) return Room.Later;
            var victim = LeastSenior();
            if (victim == sequence) return _running.Count == 1 && _pages.AsideCount > 0 ? Room.Later : Room.None;
            if (victim.IsInFlight) return Room.Later;
            Suspend(victim);
        }

        return Room.Ready;
    }

    private void Suspend(Sequence sequence)
    {
        Invariant.Holds(!sequence.IsInFlight, "a suspended sequence is in no step");
        Invariant.Holds(_running.Count > 1, "the pages are enough for any one sequence");
        LeaveRunning(sequence);
        sequence.Container?.Remove(sequence);
        _pages.Release(sequence.PageList);
        sequence.CachedTokens = 0;
        sequence.Phase = SequencePhase.Waiting;
        sequence.AwaitsPermit = sequence.RunsAlone;
        _waiting.AddBySeniority(sequence);
        Suspensions++;
    }

    private void AddChunk(StepPlan plan, StepsInFlight.Step step, Sequence sequence, int count)
    {
        var start = sequence.CachedTokens;
        var samples = start + count == sequence.TokenCount;
        _shape.Clear();
        if (samples) sequence.WriteShape(_shape);
        var scores = sequence.NeedsScores ? sequence.Parameters.PromptLogprobs + 1 ?? 0 : 0;
        plan.Add(
            start,
            sequence.Tokens.Slice(start, count),
            sequence.Pages[..KvPage.Count(start + count)],
            samples,
            sequence.Sampling,
            replays: start >= sequence.PromptCount,
            CollectionsMarshal.AsSpan(_shape),
            scores,
            scores > 0 && !samples ? sequence.Tokens[start + count] : 0);
        sequence.TokensInFlight = count;
        sequence.ScoresInFlight = plan.Chunks[^1].ScoredRows;
        step.ScoreCount += sequence.ScoresInFlight;
        sequence.SamplesInFlight = samples;
        step.Sequences.Add(sequence);
    }

    /// <summary>A step's part of the sequences, so that P steps have work: rounded up, hence never 0 of some.</summary>
    private int Share(int sequences) =>
        (sequences + _limits.StepsInFlightMax - 1) / _limits.StepsInFlightMax;

    /// <summary>A page for each that runs, its next one; capped, so that a small pool is still used.</summary>
    private int HeldBackPages() => Math.Min(_running.Count, _limits.PageCount / 8);

    private long PrefillTokens()
    {
        if (_prefilling == 0) return 0;
        var tokens = 0L;
        foreach (var sequence in _running)
        {
            // One that waits for a permit takes none of the next steps, however long its prompt is.
            if (sequence is { Phase: SequencePhase.Prefill, AwaitsPermit: false })
            {
                tokens += sequence.TokenCount - sequence.CachedTokens - sequence.TokensInFlight;
            }
        }

        return tokens;
    }

    private Sequence LeastSenior()
    {
        var least = _running[0];
        foreach (var sequence in _running)
        {
            if (least.IsSeniorTo(sequence)) least = sequence;
        }

        return least;
    }
}
