using System.Collections.Concurrent;
using System.Threading.Channels;
using SpotServe.Actors.Execution;
using SpotServe.Tests.Scheduling;

namespace SpotServe.Tests.Replica;

/// <summary>A pipeline over a <see cref="PagedModel"/>; a step's result comes when the test asks for it.</summary>
internal sealed class ManualPipeline(int stageCount, int pageCount) : IStepPipeline
{
    private readonly PagedModel _model = new(pageCount);
    private readonly Channel<StepResult> _results = Channel.CreateUnbounded<StepResult>();
    private readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Action<StepResult>? _onResult;
    private Action<Exception>? _onLost;

    public int StageCount => stageCount;

    public Task Disposed => _disposed.Task;

    /// <summary>Chunks of each step that was submitted.</summary>
    public ConcurrentQueue<int> Chunks { get; } = [];

    /// <summary>First token of each prompt, in the order in which they came to be computed.</summary>
    public ConcurrentQueue<int> Begun { get; } = [];

    /// <summary>Thrown by the next submission instead of taking it.</summary>
    public Exception? BrokenBy { get; set; }

    public void Start(Action<StepResult> onResult, Action<Exception> onLost)
    {
        _onResult = onResult;
        _onLost = onLost;
    }

    public void Submit(StepPlan plan)
    {
        if (BrokenBy is not null) throw BrokenBy;
        Chunks.Enqueue(plan.Chunks.Length);
        foreach (var chunk in plan.Chunks)
        {
            if (chunk.Start == 0) Begun.Enqueue(plan.Tokens[chunk.TokenOffset]);
        }

        var drawn = _model.Run(plan);
        Xunit.Assert.True(
            _results.Writer.TryWrite(new StepResult(plan.StepId, drawn) { Scores = _model.Scores(plan) }));
    }

    /// <summary>Waits for the next step to be submitted, but does not complete it.</summary>
    public async Task WaitForStepAsync(CancellationToken cancel) => await _results.Reader.WaitToReadAsync(cancel);

    /// <summary>Completes the oldest step in flight, waiting for one to be submitted.</summary>
    public async Task StepAsync(CancellationToken cancel)
    {
        var result = await _results.Reader.ReadAsync(cancel);
        _onResult!(result);
    }

    /// <summary>Lets the oldest step in flight fail, waiting for one to be submitted.</summary>
    public async Task FailStepAsync(StepFailure failure, CancellationToken cancel)
    {
        var result = await _results.Reader.ReadAsync(cancel);
        _onResult!(new StepResult(result.StepId, []) { Failure = failure });
    }

    /// <summary>Completes every step as it comes, until cancelled or disposed.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        await foreach (var result in _results.Reader.ReadAllAsync(cancel)) _onResult!(result);
    }

    /// <summary>Answers the oldest step in flight with a token that nobody asked for.</summary>
    public async Task CorruptStepAsync(CancellationToken cancel)
    {
        var result = await _results.Reader.ReadAsync(cancel);
        _onResult!(result with { Tokens = result.Tokens.Add(0) });
    }

    public void Lose(string reason) => _onLost!(new PeerLostException("peer", reason));

    public void Dispose()
    {
        _results.Writer.TryComplete();
        _disposed.TrySetResult();
    }
}
