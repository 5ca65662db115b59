using System.Collections.Immutable;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;
using SpotServe.Node.Engine.Families;
using SpotServe.Node.Lifetime;
using SpotServe.Node.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace SpotServe.Node.Engine;

/// <summary>One model on one device: its weights, its KV pages, and the engines that use them. Thread-safe.</summary>
internal sealed class TorchEngines : IDisposable
{
    /// <summary>Fetches that wait for the network at the same time.</summary>
    private const int BlocksAtOnce = 4;

    private readonly ModelSpec _model;
    private readonly ModelConfig _config;
    private readonly Device _device;
    private readonly PageStore _pages;
    private readonly DeviceRoom _room;
    private readonly Numerics _numerics;
    private readonly StartTimeline? _timeline;
    private readonly Action<string>? _tell;

    /// <param name="tell">Told in one line how the ranks of a stage sum.</param>
    /// <param name="foreign">Told of slices that came with other numbers than the source's.</param>
    public TorchEngines(
        ModelSpec model, ModelConfig config, IWeightSource source, Device device,
        Action<SliceRequest>? foreign = null, Numerics numerics = Numerics.Invariant, StartTimeline? timeline = null,
        Action<string>? tell = null)
    {
        _tell = tell;
        _numerics = numerics;
        _timeline = timeline;
        _model = model;
        _config = config;
        _device = device;
        var shape = ModelFamily.For(config).Shape(config, model);
        Weights = new WeightStore(shape, new TorchWeights(shape, source, device)) { Foreign = foreign };
        _pages = new PageStore(KvPage.Bytes(model, 1) / 2);
        _room = new DeviceRoom(Weights, _pages);
    }

    public WeightStore Weights { get; }

    /// <summary>From the model folder and what is in memory, on the caller's thread.</summary>
    /// <param name="usePlainOperations">Only libtorch's operations, for comparison with the CPU's kernels.</param>
    /// <exception cref="ModelFormatException">The source's tensors are not those of the configuration.</exception>
    /// <exception cref="EngineLostException">The device has too little memory or failed.</exception>
    public TorchStageEngine Load(
        StageAssignment assignment, IProgress<LoadProgress>? progress, CancellationToken cancel,
        bool usePlainOperations = false)
    {
        TorchStageEngine.Check(_model, assignment);
        try
        {
            return Assemble(
                assignment, Weights.Load(Need(assignment), progress, cancel), sharedPages: null, usePlainOperations);
        }
        catch (ExternalException error)
        {
            throw Lost(assignment, error);
        }
    }

    /// <inheritdoc cref="IDeviceRuntime.PrepareAsync"/>
    public async Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel)
    {
        var assignment = order.Assignment;
        TorchStageEngine.Check(_model, assignment);
        _timeline?.Reached("joining and the first layout");
        try
        {
            var need = Need(assignment);
            await OnOtherThread(_room.ForWeightsAsync(order, need, cancel)).ConfigureAwait(false);
            var weights = await Weights.PrepareAsync(
                need, order.Weights, assignment.Epoch, fetcher, BlocksAtOnce, progress, cancel,
                hasThreads: _device.type == DeviceType.CUDA).ConfigureAwait(false);
            _timeline?.Reached("weights", weights.Bytes);
            await RoomForPagesAsync(order, need, weights, cancel).ConfigureAwait(false);
            return Assemble(assignment, weights, order.SharedPages, usePlainOperations: false);
        }
        catch (ExternalException error)
        {
            throw Lost(assignment, error);
        }
    }

    /// <inheritdoc cref="IDeviceRuntime.ProbeAsync"/>
    public Task<SourceRates> ProbeAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel) =>
        new RateProbe(Weights, TimeProvider.System).RunAsync(peer, fetcher, cancel);

    public ITransferBlock? OpenPages(PageRun run) => _pages.Open(run);

    public void Dispose() => Weights.Dispose();

    private async Task RoomForPagesAsync(
        PreparationOrder order, ImmutableArray<WeightSlice> need, WeightSet weights, CancellationToken cancel)
    {
        try
        {
            await OnOtherThread(_room.ForPagesAsync(order, need, cancel)).ConfigureAwait(false);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>What is waited for ends on a thread that sends to a peer or closes an engine: neither is to be held up
    /// by what comes after it.</summary>
    private static async Task OnOtherThread(Task wait)
    {
        var hadToWait = !wait.IsCompleted;
        await wait.ConfigureAwait(false);
        if (hadToWait) await Task.Yield();
    }

    /// <summary>Takes the weights over: they go with the engine, also when it cannot be made.</summary>
    private TorchStageEngine Assemble(
        StageAssignment assignment, WeightSet weights, Epoch? sharedPages, bool usePlainOperations)
    {
        EnginePages? pages = null;
        try
        {
            var shape = PageShape.Of(_model, assignment);
            pages = _pages.Add(assignment.Epoch, shape, sharedPages, () => NewPool(shape));
        }
        finally
        {
            if (pages is null) weights.Dispose();
        }

        _timeline?.Reached("pages");
        var engine = new TorchStageEngine(
            _model, _config, assignment, weights, pages, _device,
            new EngineOptions(_numerics, usePlainOperations, _timeline, _tell));
        _timeline?.Reached("engine and kernels");
        return engine;
    }

    // Zeros, not garbage: a masked score hides a key, but zero times a stray NaN value would still be NaN.
    private TorchBytes NewPool(PageShape shape)
    {
        long[] sizes = [shape.PageCount, 2, shape.Heads.Count, KvPage.Tokens, _model.HeadSize];
        return _device.type == TorchSharp.DeviceType.CPU
            ? UntouchedZeros.Allocate(sizes, _model.WeightType)
            : new TorchBytes(zeros(sizes, _model.WeightType.ToTorch(), _device).DetachFromDisposeScope());
    }

    private ImmutableArray<WeightSlice> Need(StageAssignment assignment) =>
        [.. Weights.Shape.Geometry.Need(assignment)];

    private EngineLostException Lost(StageAssignment assignment, ExternalException error) =>
        new($"Loading {assignment.Position} on {_device} failed: {error.Message}", error);
}
