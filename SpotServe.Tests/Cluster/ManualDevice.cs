using System.Collections.Immutable;
using System.Threading.Channels;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Cluster;

/// <summary>A device runtime and a launcher whose work is over when the test says so.</summary>
internal sealed class ManualDevice : IDeviceRuntime, IStageLauncher
{
    private readonly Channel<Work<IStageEngine>> _loads = Channel.CreateUnbounded<Work<IStageEngine>>();
    private readonly Channel<Work<IRunningStage>> _launches = Channel.CreateUnbounded<Work<IRunningStage>>();
    private readonly Channel<Work<SourceRates>> _probes = Channel.CreateUnbounded<Work<SourceRates>>();

    public ModelSpec Model => TestModels.Small;

    public string Description => "manual";

    public long MemoryBytes => 1L << 30;

    public ImmutableArray<WeightSlice> Weights => [];

    public Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel) =>
        Begin(_loads, cancel, order);

    public Task<SourceRates> ProbeAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel) =>
        Begin(_probes, cancel);

    public ITransferBlock? OpenWeights(WeightSlice slice) => null;

    public ITransferBlock? OpenPages(PageRun run) => null;

    public DeviceSpeed? MeasureSpeed() => null;

    public int Trims { get; private set; }

    public void Trim() => Trims++;

    public Task<IRunningStage> LaunchAsync(
        ClusterProtocol.ConnectPosition position,
        StageAssignment assignment,
        IStageEngine engine,
        Action<Exception> onFailed,
        CancellationToken cancel) => Begin(_launches, cancel);

    public ISliceFetcher FetcherFor(Epoch epoch, IReadOnlyDictionary<string, string> endpoints) => NoPeers.Instance;

    public ValueTask<Work<IStageEngine>> NextLoadAsync(CancellationToken cancel) => _loads.Reader.ReadAsync(cancel);

    public ValueTask<Work<IRunningStage>> NextLaunchAsync(CancellationToken cancel) =>
        _launches.Reader.ReadAsync(cancel);

    public ValueTask<Work<SourceRates>> NextProbeAsync(CancellationToken cancel) => _probes.Reader.ReadAsync(cancel);

    public void Dispose()
    {
    }

    private static Task<T> Begin<T>(
        Channel<Work<T>> channel, CancellationToken cancel, PreparationOrder? order = null)
    {
        var work = new Work<T>(new TaskCompletionSource<T>(), order, cancel);
        channel.Writer.TryWrite(work);
        return work.End.Task;
    }

    /// <summary>Something asked of the device; cancellation is only seen, so that it can come too late.</summary>
    public sealed record Work<T>(TaskCompletionSource<T> End, PreparationOrder? Order, CancellationToken Cancel);
}

/// <summary>An engine that computes nothing and shows its disposal.</summary>
internal sealed class IdleEngine(StageAssignment assignment) : IStageEngine
{
    private readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Disposed => _disposed.Task;

    public StageAssignment Assignment => assignment;

    public string Path => "idle";

    public int ActivationBytesPerToken => 4;

    public Span<byte> Input(int tokens) => [];

    public ReadOnlySpan<byte> Output(int tokens) => [];

    public void Step(StepPlan plan, ICollective collective, StepDraws draws)
    {
    }

    public void Dispose() => _disposed.TrySetResult();
}

/// <summary>A stage that runs nothing; its thread ends when the test says so.</summary>
internal sealed class IdleStage(IStepPipeline? pipeline) : IRunningStage
{
    private readonly TaskCompletionSource _disposed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TaskCompletionSource ThreadEnd { get; } = new();

    public Task Disposed => _disposed.Task;

    public IStepPipeline? Pipeline => pipeline;

    public Task Stopped => ThreadEnd.Task;

    /// <summary>Thrown by its disposal; null lets that succeed.</summary>
    public Exception? Fault { get; set; }

    public void Dispose()
    {
        _disposed.TrySetResult();
        if (Fault is { } fault) throw fault;
    }
}
