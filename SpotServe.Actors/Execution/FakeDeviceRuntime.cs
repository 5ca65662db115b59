using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution;

/// <summary>A device without hardware: makes <see cref="FakeStageEngine"/>s.</summary>
/// <param name="model">A small shape, see <see cref="FakeModel.Spec"/>.</param>
/// <param name="beforeLoad">Awaited before each load: what it throws fails the load.</param>
/// <param name="beforeStep">Called at the start of each step: what it throws fails the step.</param>
public sealed class FakeDeviceRuntime(
    ModelSpec model,
    long memoryBytes = 1L << 30,
    Func<StageAssignment, CancellationToken, Task>? beforeLoad = null,
    Action<StageAssignment, StepPlan>? beforeStep = null) : IDeviceRuntime
{
    public ModelSpec Model => model;

    public string Description => "fake";

    public long MemoryBytes => memoryBytes;

    public ImmutableArray<WeightSlice> Weights => [];

    /// <exception cref="EngineLostException">The assignment's pages and buffers exceed the memory.</exception>
    public async Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel)
    {
        var assignment = order.Assignment;
        if (beforeLoad is not null) await beforeLoad(assignment, cancel).ConfigureAwait(false);
        cancel.ThrowIfCancellationRequested();
        var pageBytes = KvPage.Tokens * sizeof(float) *
            TensorSlices.KvHeads(model, assignment.Position.Rank, assignment.RankCount).Count;
        var neededBytes = assignment.Layers.Count * assignment.PageCount * pageBytes
            + (3L * assignment.StepTokensMax * model.HiddenSize * sizeof(float));
        if (neededBytes > memoryBytes)
        {
            throw new EngineLostException(
                $"{assignment.Position} needs {neededBytes} bytes of memory, the device has {memoryBytes}; "
                + "give fewer pages or more devices.");
        }

        var weightBytes = assignment.Layers.Count * model.Layer.Sum(tensor => tensor.ElementCount) * sizeof(float);
        progress.Report(new LoadProgress(0, weightBytes));
        var engine = new FakeStageEngine(
            assignment, model, beforeStep is null ? null : plan => beforeStep(assignment, plan));
        progress.Report(new LoadProgress(weightBytes, weightBytes));
        return engine;
    }

    public ITransferBlock? OpenWeights(WeightSlice slice) => null;

    public ITransferBlock? OpenPages(PageRun run) => null;

    public void Trim()
    {
    }

    public void Dispose()
    {
    }
}
