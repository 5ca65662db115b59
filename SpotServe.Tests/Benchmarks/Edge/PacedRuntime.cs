using System.Collections.Immutable;
using System.Diagnostics;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Tests.Benchmarks.Edge;

/// <summary>A fake device whose steps take a given time, whatever they compute, and which remembers when each
/// ended.</summary>
internal sealed class PacedRuntime(ModelSpec model, long memoryBytes) : IDeviceRuntime
{
    private readonly FakeDeviceRuntime _inner = new(model, memoryBytes);
    private readonly List<long> _ends = [];
    private readonly ManualResetEventSlim _never = new();
    private long _periodTicks;

    /// <summary>Time from a step's begin to its end; zero lets steps take what they take.</summary>
    public TimeSpan Period
    {
        get => TimeSpan.FromTicks(Volatile.Read(ref _periodTicks));
        set => Volatile.Write(ref _periodTicks, value.Ticks);
    }

    /// <summary>When steps ended, as Stopwatch counts, in order.</summary>
    public long[] Ends
    {
        get
        {
            lock (_ends) return [.. _ends];
        }
    }

    public ModelSpec Model => _inner.Model;

    public string Description => _inner.Description;

    public long MemoryBytes => _inner.MemoryBytes;

    public ImmutableArray<WeightSlice> Weights => _inner.Weights;

    public async Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel) =>
        new Engine(this, await _inner.PrepareAsync(order, fetcher, progress, cancel));

    public ITransferBlock? OpenWeights(WeightSlice slice) => _inner.OpenWeights(slice);

    public ITransferBlock? OpenPages(PageRun run) => _inner.OpenPages(run);

    public Task<SourceRates> ProbeAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel) =>
        _inner.ProbeAsync(peer, fetcher, cancel);

    public DeviceSpeed? MeasureSpeed() => _inner.MeasureSpeed();

    public void Trim() => _inner.Trim();

    public void Dispose()
    {
        _inner.Dispose();
        _never.Dispose();
    }

    private sealed class Engine(PacedRuntime runtime, IStageEngine inner) : IStageEngine
    {
        public StageAssignment Assignment => inner.Assignment;

        public string Path => inner.Path;

        public int ActivationBytesPerToken => inner.ActivationBytesPerToken;

        public Span<byte> Input(int tokens) => inner.Input(tokens);

        public ReadOnlySpan<byte> Output(int tokens) => inner.Output(tokens);

        public void Step(StepPlan plan, ICollective collective, StepDraws draws)
        {
            var begin = Stopwatch.GetTimestamp();
            inner.Step(plan, collective, draws);
            var left = runtime.Period - Stopwatch.GetElapsedTime(begin);
            if (left > TimeSpan.Zero) runtime._never.Wait(left);
            lock (runtime._ends) runtime._ends.Add(Stopwatch.GetTimestamp());
        }

        public void Dispose() => inner.Dispose();
    }
}
