using System.Collections.Immutable;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution;

/// <summary>
/// A device without hardware: makes <see cref="FakeStageEngine"/>s. Its weights and pages are real bytes that are
/// reused, fetched, shared and opened as a real device's, and checked. Nothing leaves the thread of the caller and of
/// the fetcher, so that a simulation replays.
/// </summary>
internal sealed class FakeDeviceRuntime : IDeviceRuntime
{
    private readonly Func<StageAssignment, CancellationToken, Task>? _beforeLoad;
    private readonly Action<StageAssignment, StepPlan>? _beforeStep;
    private readonly WeightStore _weights;
    private readonly PageStore _pages = FakePool.Store();

    /// <param name="model">A small shape, see <see cref="FakeModel.Spec"/>.</param>
    /// <param name="beforeLoad">Awaited before each load: what it throws fails the load.</param>
    /// <param name="beforeStep">Called at the start of each step: what it throws fails the step.</param>
    public FakeDeviceRuntime(
        ModelSpec model,
        long memoryBytes = 1L << 30,
        Func<StageAssignment, CancellationToken, Task>? beforeLoad = null,
        Action<StageAssignment, StepPlan>? beforeStep = null)
    {
        var shape = FakeWeights.Shape(model);
        _weights = new WeightStore(shape, new FakeWeights(shape));
        _beforeLoad = beforeLoad;
        _beforeStep = beforeStep;
        Model = model;
        MemoryBytes = memoryBytes;
    }

    public ModelSpec Model { get; }

    public string Description => "fake";

    public long MemoryBytes { get; }

    /// <summary>What a probe measures with.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>What a probe finds that the model folder gives; null has it measured.</summary>
    public double? DiskBytesPerSecond { get; init; }

    /// <summary>What it says to have measured of itself.</summary>
    public DeviceSpeed? Speed { get; init; }

    public ImmutableArray<WeightSlice> Weights => _weights.Held;

    /// <summary>Epochs of the engines that were made here and not disposed.</summary>
    public ImmutableArray<Epoch> Engines => _pages.Epochs;

    /// <summary>Bytes of complete weights and of pages, those of engines that share counted once.</summary>
    public long BytesInUse => _weights.BytesHeld + _pages.BytesHeld;

    /// <exception cref="InvariantException">Weights, pages and buffers exceed the memory: whoever planned it did not
    /// count what the device charges.</exception>
    public async Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel)
    {
        var assignment = order.Assignment;
        if (_beforeLoad is not null) await _beforeLoad(assignment, cancel).ConfigureAwait(false);
        cancel.ThrowIfCancellationRequested();
        ImmutableArray<WeightSlice> need = [.. _weights.Shape.Geometry.Need(assignment)];
        var room = new DeviceRoom(_weights, _pages);
        await room.ForWeightsAsync(order, need, cancel).ConfigureAwait(false);
        var weights = await _weights.PrepareAsync(
            need, order.Weights, assignment.Epoch, fetcher, blocksAtOnce: 1,
            progress, cancel).ConfigureAwait(false);
        FakeStageEngine? engine = null;
        try
        {
            await room.ForPagesAsync(order, need, cancel).ConfigureAwait(false);
            engine = new FakeStageEngine(
                assignment, Model, _pages, weights, order.SharedPages,
                _beforeStep is null ? null : plan => _beforeStep(assignment, plan));
            RequireMemory(assignment);
            return engine;
        }
        catch
        {
            if (engine is null) weights.Dispose();
            else engine.Dispose();
            throw;
        }
    }

    public ITransferBlock? OpenWeights(WeightSlice slice) => _weights.Open(slice);

    public ITransferBlock? OpenPages(PageRun run) => _pages.Open(run);

    public async Task<SourceRates> ProbeAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel)
    {
        var probe = new RateProbe(_weights, Clock);
        return new SourceRates(
            await probe.PeerAsync(peer, fetcher, cancel).ConfigureAwait(false),
            DiskBytesPerSecond ?? probe.Disk(cancel));
    }

    public DeviceSpeed? MeasureSpeed() => Speed;

    public void Trim() => _weights.Trim();

    public void Dispose() => _weights.Dispose();

    /// <summary>The fake's own numbers are smaller; it charges what the model's would take: all weights that are
    /// here, the pages of every engine and of those that peers still read, shared ones once, and the buffers of the
    /// newest.</summary>
    private void RequireMemory(StageAssignment newest)
    {
        var weights = _weights.Held.Concat(_weights.Leaving).Sum(_weights.Shape.Geometry.Bytes);
        var pages = _pages.Pools.Cast<FakePool>().Sum(
            pool => pool.Shape.PageCount * KvPage.Bytes(Model, pool.Shape.Heads.Count));
        var buffers = 3L * newest.StepTokensMax * Model.HiddenSize * sizeof(float);
        if (weights + pages + buffers <= MemoryBytes) return;
        throw new InvariantException(
            $"{newest.Position} needs {weights + pages + buffers} bytes of memory ({weights} of weights, {pages} "
            + $"of pages, epochs {string.Join(", ", _pages.Epochs)}), the device has {MemoryBytes}: give fewer "
            + "pages or more devices");
    }
}
