using System.Collections.Immutable;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Scheduling;
using Xunit;

namespace SpotServe.Tests.Benchmarks;

/// <summary>
/// Time and allocation of one scheduler step (TryPlan and Complete) with all slots taken: sequences of 512 to 1,024
/// tokens, each replaced by a new one when it ends, so that prefill and submission are in the mean as in service.
/// </summary>
[MemoryDiagnoser]
public class SchedulerBenchmarks
{
    private const int PromptTokens = 512;
    private const int GeneratedTokens = 512;

    private readonly StepPlan _plan = new();
    private ReplicaScheduler _scheduler = null!;
    private ImmutableArray<int> _prompt;
    private ImmutableArray<int>[] _drawn = null!;
    private long _submitted;

    [Params(32, 256)]
    public int Sequences { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _prompt = [.. Enumerable.Range(1, PromptTokens)];
        _drawn = [.. Enumerable.Range(0, Sequences + 1).Select(count => ImmutableArray.Create(new int[count]))];
        _scheduler = new ReplicaScheduler(new SchedulerLimits
        {
            StepTokensMax = 2_048,
            PrefillChunkTokensMax = 512,
            SequencesMax = Sequences,
            QueuedRequestsMax = 1_024,
            PageCount = Sequences * 80,
            StepsInFlightMax = 1,
            ContextMax = PromptTokens + GeneratedTokens,
        });
        // Lengths differ at first, so that the sequences do not end all at once.
        for (var i = 0; i < Sequences; i++) Submit(1 + (GeneratedTokens * (i + 1L) / Sequences));
        for (var i = 0; i < 4 * GeneratedTokens; i++) Step();
    }

    [Benchmark]
    public void Step()
    {
        Assert.True(_scheduler.TryPlan(_plan));
        var ended = 0;
        foreach (var outcome in _scheduler.Complete(new StepResult(_plan.StepId, _drawn[_plan.SampleCount])))
        {
            if (outcome.Finished is not null) ended++;
        }

        for (var i = 0; i < ended; i++) Submit(GeneratedTokens);
    }

    private void Submit(long tokensMax)
    {
        var id = new RequestId((++_submitted).ToString(System.Globalization.CultureInfo.InvariantCulture));
        var parameters = new GenerationParameters((int)tokensMax, SamplingParameters.Greedy, []);
        var submission = _scheduler.Submit(new GenerationRequest(id, new GenerationSpec(_prompt, parameters), []));
        Assert.IsType<Submission.Queued>(submission);
    }
}

/// <summary>Runs the benchmarks in the test executable: `-explicit only -class *SchedulerBenchmarksRun`.</summary>
public sealed class SchedulerBenchmarksRun
{
    [Fact(Explicit = true)]
    public void Run() => BenchmarkRunner.Run<SchedulerBenchmarks>(
        ManualConfig.Create(DefaultConfig.Instance)
            .AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance)));
}
