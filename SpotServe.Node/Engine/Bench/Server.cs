using System.Collections.Concurrent;
using System.Diagnostics;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;

namespace SpotServe.Node.Engine.Bench;

/// <summary>What a replica's actor does, in a loop of its own: feeds a pipeline with the steps that the scheduler
/// plans.</summary>
internal sealed class Server
{
    private readonly IStepPipeline _pipeline;
    private readonly ReplicaScheduler _scheduler;
    private readonly BlockingCollection<StepResult> _results = [];
    private readonly StepPlan _plan = new();
    private readonly int _vocabulary;
    private readonly Stopwatch _planning = new();
    private int _requests;

    public Server(IStepPipeline pipeline, StageAssignment assignment, ModelSpec spec, ServeLoad load)
    {
        _pipeline = pipeline;
        _vocabulary = spec.VocabularySize;
        _scheduler = new ReplicaScheduler(new SchedulerLimits
        {
            StepTokensMax = assignment.StepTokensMax,
            PrefillChunkTokensMax = assignment.StepTokensMax * 3 / 4,
            SequencesMax = assignment.SequencesMax,
            QueuedRequestsMax = Math.Max(load.Requests, 1),
            PageCount = assignment.PageCount,
            StepsInFlightMax = 1,
            ContextMax = load.PromptTokens + load.OutputTokens,
        });
        _pipeline.Start(_results.Add, _ => _results.CompleteAdding());
    }

    /// <summary>Serves a load to its end.</summary>
    /// <exception cref="InvalidOperationException">The engine broke.</exception>
    public ServeRun Run(ServeLoad load)
    {
        var (steps, allocated) = (_scheduler.StepCount, GC.GetTotalAllocatedBytes());
        _planning.Reset();
        var clock = Stopwatch.StartNew();
        var arrivals = Arrivals(load);
        var known = new Dictionary<RequestId, (double Arrived, double First)>();
        var served = new List<Served>();
        while (served.Count < load.Requests)
        {
            while (arrivals.TryPeek(out var next) && next <= clock.Elapsed.TotalSeconds)
            {
                var request = Request(load);
                known.Add(request.Id, (arrivals.Dequeue(), 0));
                _scheduler.Submit(request);
            }

            _planning.Start();
            while (_scheduler.TryPlan(_plan)) _pipeline.Submit(_plan);
            _planning.Stop();
            var wait = arrivals.TryPeek(out var then)
                ? TimeSpan.FromSeconds(Math.Max(0, then - clock.Elapsed.TotalSeconds)) : Timeout.InfiniteTimeSpan;
            if (!_results.TryTake(out var result, wait))
            {
                if (_results.IsCompleted) throw new InvalidOperationException("The engine broke.");
                continue;
            }

            _planning.Start();
            Take(result, clock.Elapsed.TotalSeconds, load, known, served);
            _planning.Stop();
        }

        return new ServeRun(
            served, clock.Elapsed.TotalSeconds, _scheduler.StepCount - steps, _planning.Elapsed.TotalSeconds,
            GC.GetTotalAllocatedBytes() - allocated);
    }

    private void Take(
        StepResult result, double now, ServeLoad load, Dictionary<RequestId, (double Arrived, double First)> known,
        List<Served> served)
    {
        foreach (var outcome in _scheduler.Complete(result))
        {
            var (arrived, first) = known[outcome.Sequence.Id];
            if (outcome.Index == 0) known[outcome.Sequence.Id] = (arrived, first = now);
            if (outcome.Finished is null) continue;
            var gaps = Math.Max(1, load.OutputTokens - 1);
            served.Add(new Served((first - arrived) * 1e3, (now - first) / gaps * 1e3));
        }
    }

    /// <summary>Seconds at which requests come, in order.</summary>
    private static Queue<double> Arrivals(ServeLoad load)
    {
        var random = new Random(1);
        var at = 0.0;
        var arrivals = new Queue<double>();
        for (var i = 0; i < load.Requests; i++)
        {
            if (load.RequestsPerSecond is { } rate) at -= Math.Log(1 - random.NextDouble()) / rate;
            arrivals.Enqueue(at);
        }

        return arrivals;
    }

    private GenerationRequest Request(ServeLoad load)
    {
        var number = ++_requests;
        var prompt = Enumerable.Range(0, load.PromptTokens)
            .Select(i => (int)((3 + (7919L * i) + (104_729L * number)) % _vocabulary));
        return new GenerationRequest(
            new RequestId($"made-{number}"),
            new GenerationSpec([.. prompt], new GenerationParameters(load.OutputTokens, SamplingParameters.Greedy, [])),
            []);
    }
}
