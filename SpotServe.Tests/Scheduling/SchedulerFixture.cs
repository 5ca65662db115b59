using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Tests.Scheduling;

/// <summary>A scheduler over a <see cref="PagedModel"/>, whose results come when the test says so.</summary>
internal sealed class SchedulerFixture
{
    private readonly StepPlan _plan = new();
    private readonly PagedModel _model;
    private readonly Queue<StepResult> _results = [];

    public SchedulerFixture(SchedulerLimits limits)
    {
        Scheduler = new ReplicaScheduler(limits);
        _model = new PagedModel(limits.PageCount);
        ContextMax = limits.ContextMax;
    }

    public ReplicaScheduler Scheduler { get; }

    public int ContextMax { get; }

    /// <summary>Whether a planned step fails; none does by default.</summary>
    public Func<StepPlan, StepFailure?> Fails { get; set; } = _ => null;

    /// <summary>Why requests failed.</summary>
    public Dictionary<string, string> Errors { get; } = [];

    public PagedModel Model => _model;

    public Dictionary<string, List<int>> Generated { get; } = [];

    public Dictionary<string, FinishReason> Finished { get; } = [];

    /// <summary>Of requests' prompts, as they came with the first token.</summary>
    public Dictionary<string, TokenLogprobs[]> PromptLogprobs { get; } = [];

    /// <summary>Chunks of the last planned step, as (start, count, samples).</summary>
    public List<(int Start, int Count, bool Samples)> Planned { get; } = [];

    /// <summary>Whether these chunks replay generated tokens, 0 or 1 each.</summary>
    public List<int> Replays { get; } = [];

    public static SchedulerLimits Limits(
        int stepTokens = 64, int chunk = 32, int sequences = 8, int queued = 64, int pages = 64, int steps = 1,
        int context = 256, bool caches = false) => new()
        {
            PrefixRoot = caches ? PrefixKey.Root("paged") : null,
            StepTokensMax = stepTokens,
            PrefillChunkTokensMax = chunk,
            SequencesMax = sequences,
            QueuedRequestsMax = queued,
            PageCount = pages,
            StepsInFlightMax = steps,
            ContextMax = context,
        };

    public static GenerationRequest Request(
        string id, int promptTokens, int tokensMax, int[]? committed = null, int[]? stop = null, int common = 0,
        bool sharesPrompt = false, Standing? standing = null)
    {
        var seed = (ulong)id.Sum(letter => letter * 31L);
        // All requests have their first tokens in common, as far as they are told to.
        var prompt = Enumerable.Range(0, promptTokens)
            .Select(i => (int)(((ulong)i * 7 + (i < common ? 5 : seed)) % 97));
        return new GenerationRequest(
            new RequestId(id),
            new GenerationSpec(
                [.. prompt],
                new GenerationParameters(tokensMax, new SamplingParameters(0, 1, 0, seed), [.. stop ?? []]))
            {
                SharesPrompt = sharesPrompt,
                Standing = standing ?? Standing.Anonymous,
            },
            [.. committed ?? []]);
    }

    public static List<int> Alone(GenerationRequest request, SchedulerLimits limits) => PagedModel.Alone(
        request.Spec.Prompt.AsSpan(),
        request.Spec.Parameters.Sampling,
        request.Spec.Parameters.TokensMax,
        limits.ContextMax,
        request.Spec.Parameters.StopTokens);

    public Submission Submit(GenerationRequest request)
    {
        var submission = Scheduler.Submit(request);
        if (submission is Submission.Queued) Generated[request.Id.Value] = [.. request.Committed];
        return submission;
    }

    /// <summary>Plans one step and runs it; its result waits for <see cref="Complete"/>.</summary>
    public bool Plan()
    {
        if (!Scheduler.TryPlan(_plan)) return false;
        Planned.Clear();
        Replays.Clear();
        foreach (var chunk in _plan.Chunks)
        {
            Planned.Add((chunk.Start, chunk.Count, chunk.Samples == 1));
            Replays.Add(chunk.Replays);
        }

        // One that fails has written all the same: nothing of that may count.
        var drawn = _model.Run(_plan);
        _results.Enqueue(Fails(_plan) is { } failure
            ? new StepResult(_plan.StepId, []) { Failure = failure }
            : new StepResult(_plan.StepId, drawn) { Scores = _model.Scores(_plan) });
        Scheduler.CheckLaws();
        return true;
    }

    public List<SequenceOutcome> Complete()
    {
        List<SequenceOutcome> outcomes = [.. Scheduler.Complete(_results.Dequeue())];
        foreach (var outcome in outcomes)
        {
            var id = outcome.Sequence.Id.Value;
            if (outcome.Finished is { } reason) Finished[id] = reason;
            if (outcome.Error is { } error) Errors[id] = error;
            if (outcome.Index == 0) PromptLogprobs[id] = [.. outcome.Sequence.PromptLogprobs];
            if (outcome.Token is not { } token) continue;
            Xunit.Assert.Equal(Generated[id].Count, outcome.Index);
            Generated[id].Add(token);
        }

        Scheduler.CheckLaws();
        return outcomes;
    }

    public bool Step()
    {
        if (!Plan()) return false;
        Complete();
        return true;
    }

    public void RunToIdle(int stepsMax = 10_000)
    {
        for (var i = 0; i < stepsMax && !Scheduler.IsIdle; i++)
        {
            while (Plan())
            {
            }

            Complete();
        }

        Xunit.Assert.True(Scheduler.IsIdle, $"not idle after {stepsMax} steps");
    }
}
