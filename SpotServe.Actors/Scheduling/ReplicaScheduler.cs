using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.Scheduling;

/// <summary>
/// Continuous batching for one replica: which tokens of which sequences the next step runs, and what came of it. Pure
/// and single-threaded: submit and cancel at any time, <see cref="TryPlan"/> steps until it says no, and
/// <see cref="Complete"/> them in the order of planning.
/// </summary>
/// <remarks>
/// Decode comes first, then prefill in chunks, within the step's tokens. A sequence is in at most one step in flight;
/// each step takes its 1/P share, so that P steps keep P stages busy. A sequence is admitted when all its tokens' pages
/// are free and some remain for those that run, so prefill never runs out midway; decode takes a page every 16 tokens.
/// Out of pages, the least senior sequence is suspended: its pages go free, its tokens stay, and it waits ahead of all
/// that are junior to it. If it is in a step at that moment, whoever needs the page waits for that step. Hence the most
/// senior one always advances, finishes, and leaves the pages to the next: nothing starves and nothing livelocks.
/// Which of those that never had pages is next, is decided fairly over clients (<see cref="FairQueue{T}"/>); from then
/// on its seniority is fixed, behind all that had pages before.
/// </remarks>
public sealed partial class ReplicaScheduler
{
    private readonly SchedulerLimits _limits;
    private readonly PageAllocator _pages;
    private readonly StepsInFlight _steps;
    private readonly Dictionary<RequestId, Sequence> _sequences = [];
    private readonly List<Sequence> _running = [];
    private readonly SequenceList _waiting = new();
    private readonly FairQueue<Sequence> _newcomers = new();
    private readonly SequenceList _prefillReady = new();
    private readonly SequenceList _decodeReady = new();
    private readonly List<SequenceOutcome> _outcomes = [];
    private readonly List<int> _shape = [];
    private readonly List<Sequence> _admitted = [];
    private long _lastTicket;
    private long _lastStepId;
    private int _prefilling;
    private int _cancelledInFlight;
    private int _adoptedCount;

    /// <exception cref="ArgumentException">The limits contradict each other.</exception>
    public ReplicaScheduler(SchedulerLimits limits)
    {
        limits.Check();
        _limits = limits;
        _pages = new PageAllocator(limits.PageCount);
        _tables = new int[limits.PageCount];
        _steps = new StepsInFlight(limits.StepsInFlightMax);
    }

    /// <summary>Sequences that hold no pages: new and suspended ones.</summary>
    public int WaitingCount => _waiting.Count + _newcomers.Count;

    /// <summary>Sequences that hold pages and go on; at most B.</summary>
    public int RunningCount => _running.Count;

    public int StepsInFlightCount => _steps.Count;

    /// <summary>Sequences that got pages for the first time in the last <see cref="TryPlan"/>.</summary>
    public ReadOnlySpan<Sequence> Admitted => CollectionsMarshal.AsSpan(_admitted);

    /// <summary>Pages that can be taken: free ones, and those that are only kept.</summary>
    public int FreePageCount => _pages.FreeCount;

    /// <summary>Steps planned so far, also the last step's id.</summary>
    public long StepCount => _lastStepId;

    /// <summary>Tokens drawn and kept so far.</summary>
    public long TokensGenerated { get; private set; }

    /// <summary>Times that a sequence had to give its pages up.</summary>
    public long Suspensions { get; private set; }

    /// <summary>Tokens that were computed although they had been in a cache before: it was given up (suspension) or did
    /// not come along from the replica before. Of requests that come with tokens, all are taken to have been.</summary>
    public long TokensRecomputed { get; private set; }

    /// <summary>Nothing waits, runs or is in flight.</summary>
    public bool IsIdle => _sequences.Count == 0 && _steps.Count == 0;

    /// <summary>Sequences that are not over, in no particular order.</summary>
    public IReadOnlyCollection<Sequence> Sequences => _sequences.Values;

    public bool TryGet(RequestId id, [NotNullWhen(true)] out Sequence? sequence) =>
        _sequences.TryGetValue(id, out sequence);

    /// <summary>Takes a request. Idempotent by id until it is over.</summary>
    public Submission Submit(GenerationRequest request)
    {
        if (_sequences.TryGetValue(request.Id, out var known)) return new Submission.Known(known);
        var spec = request.Spec;
        if (spec.Prompt.IsDefaultOrEmpty) return new Submission.Malformed("The prompt has no tokens; it needs one.");
        if (spec.Parameters.TokensMax < 1)
        {
            return new Submission.Malformed($"TokensMax is {spec.Parameters.TokensMax}; it must be 1 or more.");
        }

        if (spec.Prompt.Length >= _limits.ContextMax)
        {
            return new Submission.TooLong(spec.Prompt.Length, _limits.ContextMax - 1);
        }

        if (FirstOutside(request) is { } token)
        {
            var where = StepFailure.OutsideVocabulary(token, _limits.VocabularySize);
            return new Submission.Malformed($"{char.ToUpperInvariant(where[0])}{where[1..]}.");
        }

        var sequence = new Sequence(request, _lastTicket + 1, _limits);
        if (sequence.Ending is { } reason) return new Submission.Complete(reason);
        if (WaitingCount >= _limits.QueuedRequestsMax) return new Submission.QueueFull(_limits.QueuedRequestsMax);
        _lastTicket++;
        if (!request.Committed.IsEmpty) sequence.CachedBefore = sequence.TokenCount;
        _sequences.Add(sequence.Id, sequence);
        Wait(sequence);
        return Submission.Queued.Instance;
    }

    /// <summary>Ends a request: its pages are free at once, or when its step in flight completes.</summary>
    /// <returns>False when it is not known (or over).</returns>
    public bool Cancel(RequestId id)
    {
        if (!_sequences.Remove(id, out var sequence)) return false;
        sequence.Container?.Remove(sequence);
        Settle(sequence);
        if (sequence.Phase != SequencePhase.Waiting) LeaveRunning(sequence);
        if (sequence.IsInFlight)
        {
            sequence.Phase = SequencePhase.Cancelled;
            _cancelledInFlight++;
        }
        else
        {
            sequence.Phase = SequencePhase.Finished;
            _pages.Release(sequence.PageList);
        }

        return true;
    }

    /// <summary>Fills the next step.</summary>
    /// <param name="plan">Overwritten. Its content is void when the answer is false.</param>
    /// <returns>False when nothing can run before a step completes or a request comes.</returns>
    public bool TryPlan(StepPlan plan)
    {
        _admitted.Clear();
        var isAlone = RunningAlone is not null;
        if (_steps.IsFull || (isAlone && _steps.Count > 0)) return false;
        var step = _steps.Prepare(_lastStepId + 1);
        plan.Clear(step.Id);
        if (_apartIsDue || isAlone) PlanApart(plan, step);
        if (plan.TokenCount == 0 && RunningAlone is null)
        {
            PlanDecode(plan, step);
            AdmitWaiting();
            PlanPrefill(plan, step);
            _apartIsDue = !_apart.IsEmpty;
            if (plan.TokenCount == 0) PlanApart(plan, step);
        }
        else
        {
            _apartIsDue = false;
        }

        if (plan.TokenCount == 0) return false;
        Invariant.Holds(plan.TokenCount <= _limits.StepTokensMax);
        Invariant.Holds(plan.Chunks.Length <= _limits.SequencesMax);
        step.SampleCount = plan.SampleCount;
        _lastStepId = step.Id;
        _steps.Push();
        return true;
    }

    /// <summary>Takes in the oldest step's tokens, or that it failed.</summary>
    /// <returns>One outcome for each sequence that got a token or ended; valid until the next call.</returns>
    /// <exception cref="InvariantException">Not the oldest step, or not as many tokens as it draws.</exception>
    public ReadOnlySpan<SequenceOutcome> Complete(StepResult result)
    {
        Invariant.Holds(_steps.Count > 0, "a completed step was in flight");
        var step = _steps.Oldest;
        Invariant.Holds(result.StepId == step.Id, "steps complete in the order of planning");
        _outcomes.Clear();
        if (result.Failure is { } failure) Fail(step, failure);
        else TakeIn(step, result);
        _steps.RemoveOldest();
        return CollectionsMarshal.AsSpan(_outcomes);
    }

    private void TakeIn(StepsInFlight.Step step, StepResult result)
    {
        Invariant.Holds(result.Tokens.Length == step.SampleCount, "a step draws a token for each sampling chunk");
        Invariant.Holds(result.Logprobs.IsEmpty || result.Logprobs.Length == step.SampleCount);
        Invariant.Holds(result.Scores.Length == step.ScoreCount, "a step scores the rows that its plan names");
        UnexplainedEndsInARow = 0;
        var (drawn, scored) = (0, 0);
        foreach (var sequence in step.Sequences)
        {
            int? sample = sequence.SamplesInFlight ? drawn++ : null;
            var scores = result.Scores.AsSpan().Slice(scored, sequence.ScoresInFlight);
            sequence.TakeScores(sequence.CachedTokens, scores);
            scored += scores.Length;
            Count(sequence);
            if (sequence.CachedTokens > sequence.ApartUntil)
            {
                sequence.ApartUntil = null;
                sequence.RunsAlone = false;
            }

            if (sequence.Phase == SequencePhase.Cancelled) OnCancelledReturned(sequence);
            else if (sample is not { } index) MakeReady(sequence);
            else OnDrawn(sequence, result.Tokens[index], result.Logprobs.IsEmpty ? null : result.Logprobs[index]);
        }
    }

    private int? FirstOutside(GenerationRequest request)
    {
        foreach (var tokens in (ReadOnlySpan<ImmutableArray<int>>)[request.Spec.Prompt, request.Committed])
        {
            foreach (var token in tokens)
            {
                if ((uint)token >= (uint)_limits.VocabularySize) return token;
            }
        }

        return null;
    }

    private void Count(Sequence sequence)
    {
        var before = sequence.CachedTokens;
        sequence.CachedTokens += sequence.TokensInFlight;
        sequence.TokensInFlight = 0;
        TokensRecomputed += Math.Max(0, Math.Min(sequence.CachedTokens, sequence.CachedBefore) - before);
        sequence.CachedBefore = Math.Max(sequence.CachedBefore, sequence.CachedTokens);
        Keep(sequence, before);
    }

    private void OnCancelledReturned(Sequence sequence)
    {
        _cancelledInFlight--;
        sequence.Phase = SequencePhase.Finished;
        var freed = _pages.Release(sequence.PageList);
        _outcomes.Add(new SequenceOutcome(sequence, sequence.GeneratedCount, null, FinishReason.Cancelled, freed));
    }

    private void OnDrawn(Sequence sequence, int token, TokenLogprobs? logprobs)
    {
        var index = sequence.GeneratedCount;
        if (sequence.IsStop(token))
        {
            _outcomes.Add(new SequenceOutcome(sequence, index, null, FinishReason.Stop, Finish(sequence)));
            return;
        }

        sequence.Append(token, logprobs);
        TokensGenerated++;
        if (sequence.TokenCount == sequence.TokensEnd)
        {
            _outcomes.Add(new SequenceOutcome(sequence, index, token, FinishReason.Length, Finish(sequence))
            {
                Logprobs = logprobs,
            });
            return;
        }

        if (sequence.Phase == SequencePhase.Prefill) _prefilling--;
        sequence.Phase = SequencePhase.Decode;
        MakeReady(sequence);
        _outcomes.Add(new SequenceOutcome(sequence, index, token, null, 0) { Logprobs = logprobs });
    }

    private int Finish(Sequence sequence)
    {
        _sequences.Remove(sequence.Id);
        LeaveRunning(sequence);
        Settle(sequence);
        sequence.Phase = SequencePhase.Finished;
        return _pages.Release(sequence.PageList);
    }

    private void LeaveRunning(Sequence sequence)
    {
        _running.Remove(sequence);
        if (sequence.Phase == SequencePhase.Prefill) _prefilling--;
        Unclaim(sequence);
    }
}
