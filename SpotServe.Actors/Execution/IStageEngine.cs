using System.Collections.Immutable;
using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution;

/// <summary>What one device computes in an epoch, and the bounds of its buffers.</summary>
/// <param name="Layers">Layers of the stage.</param>
/// <param name="StageCount">P: the first stage embeds tokens, the last one draws them.</param>
/// <param name="RankCount">M.</param>
/// <param name="PageCount">KV pages of the replica; every rank allocates this many for each of its layers.</param>
/// <param name="StepTokensMax">Most tokens of a step.</param>
/// <param name="SequencesMax">Most chunks of a step.</param>
public sealed record StageAssignment(
    Epoch Epoch,
    Position Position,
    LayerRange Layers,
    int StageCount,
    int RankCount,
    int PageCount,
    int StepTokensMax,
    int SequencesMax)
{
    /// <summary>Whether what prompts have in common is computed once.</summary>
    public bool KeepsPrefixes { get; init; } = true;

    public bool IsFirst => Position.Stage == 0;

    public bool IsLast => Position.Stage == StageCount - 1;
}

/// <summary>
/// One pipeline stage's share of a model on one device: its weight slices and KV pages. Not thread-safe: one engine
/// thread owns it and runs one step at a time.
/// </summary>
public interface IStageEngine : IDisposable
{
    StageAssignment Assignment { get; }

    /// <summary>What runs its steps, for the log: which kernels, or why none.</summary>
    string Path { get; }

    /// <summary>Bytes of one token's hidden state as it passes between stages.</summary>
    int ActivationBytesPerToken { get; }

    /// <summary>Where the previous stage's hidden states are written before <see cref="Step"/>: [tokens, hidden],
    /// row-major. The same memory each time, owned by the engine. Not used on the first stage.</summary>
    Span<byte> Input(int tokens);

    /// <summary>
    /// Hidden states that the last <see cref="Step"/> left for the next stage; valid until the next step.
    /// </summary>
    ReadOnlySpan<byte> Output(int tokens);

    /// <summary>
    /// Runs the plan's tokens through the stage: appends their keys and values to the pages, fills
    /// <see cref="Output"/>, and on rank 0 of the last stage writes the drawn tokens.
    /// </summary>
    /// <param name="collective">Joins the ranks of this stage; a world of one when M = 1.</param>
    /// <param name="draws">Begun for this plan; filled on the last stage's rank 0 only.</param>
    /// <exception cref="StepFailedException">Some chunks cannot be computed (logits that are no numbers, say): names
    /// them. The engine goes on with the next step.</exception>
    /// <exception cref="PeerLostException">A rank of this stage went away during the step.</exception>
    /// <exception cref="EngineLostException">The device failed; the engine is of no further use.</exception>
    /// <remarks>Any other exception is taken for the step's own failure, with an unknown culprit: the engine must be
    /// fit for the next step after it, whose chunks may be the same ones.</remarks>
    void Step(StepPlan plan, ICollective collective, StepDraws draws);
}

/// <summary>Operations over the M ranks of one stage. All ranks call them in the same order; calls block.</summary>
public interface ICollective : IDisposable
{
    int Rank { get; }

    int RankCount { get; }

    /// <summary>All operations from here on belong to this step. What ranks sent for earlier steps, in which one of
    /// them failed, is dropped. Steps ascend.</summary>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    void BeginStep(long step);

    /// <summary>This rank takes no further part in the step that began last. Ranks that wait for it, or come to, get
    /// a <see cref="StepFailedException"/> with the same failure; those that need nothing more of it never
    /// notice.</summary>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    void Abandon(StepFailure failure);

    /// <summary>Replaces <paramref name="values"/> by the sum over the ranks, added as one binary tree,
    /// ((r0 + r1) + (r2 + r3)) + .., so that every rank and every run gets the same bits, and ranks that share segments
    /// of a sum get those of one rank that has all of them.</summary>
    /// <exception cref="StepFailedException">A rank abandoned the step; this one must do so, too.</exception>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    void AllReduceSum(Span<float> values);

    /// <summary>Brings each rank's equally long block to rank 0, where <paramref name="all"/> receives them in rank
    /// order; other ranks pass an empty span.</summary>
    /// <exception cref="StepFailedException">A rank abandoned the step; this one must do so, too.</exception>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all);

    /// <summary>The ranks show each other their devices, which may then sum by themselves. Within a step; all ranks
    /// call it or none.</summary>
    /// <param name="mine">Told, until the collective is disposed, what it need not wait for any more.</param>
    /// <returns>All ranks' devices, in rank order; null where some live in another process.</returns>
    /// <exception cref="StepFailedException">A rank abandoned the step; this one must do so, too.</exception>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    IReadOnlyList<IRankDevice>? Introduce(IRankDevice mine);

    /// <summary>Throws what ended the step that began last, or a rank, if something did: for a rank whose device gave
    /// a sum up.</summary>
    /// <exception cref="StepFailedException">A rank abandoned the step; this one must do so, too.</exception>
    /// <exception cref="PeerLostException">A rank went away.</exception>
    void ThrowIfOver();
}

/// <summary>A rank's device that waits for other ranks' devices by itself. Called from any thread, under a lock: it
/// must be quick and call nothing back.</summary>
public interface IRankDevice
{
    /// <summary>A rank takes no further part in this step: its part of no sum is to be waited for.</summary>
    void Abandoned(long step);

    /// <summary>The collective is over.</summary>
    void Ended();
}

/// <summary>
/// One device's memory and the engines in it. Implemented with TorchSharp by the node, and by a fake in tests. Weights
/// outlive the engine that they were loaded for: they stay, and are reused, until <see cref="Trim"/>.
/// </summary>
public interface IDeviceRuntime : IDisposable
{
    /// <summary>The model whose weights this device can load.</summary>
    ModelSpec Model { get; }

    /// <summary>What to call it in logs, e.g. "cpu (2 threads)" or "cuda:0 NVIDIA H100".</summary>
    string Description { get; }

    /// <summary>Bytes of device memory that weights, KV pages and buffers may take together.</summary>
    long MemoryBytes { get; }

    /// <summary>Weights that are wholly in memory now, those of engines that are being prepared included. They may
    /// overlap. Callable from any thread.</summary>
    ImmutableArray<WeightSlice> Weights { get; }

    /// <summary>
    /// Makes an engine: reuses what is in memory, fetches what the orders name, reads the rest from the model folder,
    /// and allocates pages. Long: runs off the caller's thread, while older engines go on. Pages are allocated once no
    /// older engine is left but the order's predecessor: whoever closes them, and the caller's limit, end that wait.
    /// Weights that were complete when it was cancelled or failed stay.
    /// </summary>
    /// <exception cref="ModelFormatException">The weights on disk are not those that the configuration
    /// promises.</exception>
    /// <exception cref="EngineLostException">The device has too little memory or failed.</exception>
    Task<IStageEngine> PrepareAsync(
        PreparationOrder order, ISliceFetcher fetcher, IProgress<LoadProgress> progress, CancellationToken cancel);

    /// <summary>Opens one layer's weights for reading; null when the device does not hold all of it. Callable from any
    /// thread.</summary>
    ITransferBlock? OpenWeights(WeightSlice slice);

    /// <summary>Opens pages of an engine that was made here and not disposed, for reading or writing; null when there
    /// is none of that epoch or it lacks some of it. Callable from any thread; the caller sees to it that no step
    /// writes the same pages.</summary>
    ITransferBlock? OpenPages(PageRun run);

    /// <summary>Measures how fast weights get into this device's memory: takes some 100 ms for each of the two ways,
    /// off the caller's thread, and keeps nothing.</summary>
    /// <param name="peer">One layer's weights that another device has.</param>
    /// <exception cref="ModelFormatException">The weights on disk are not those that the configuration
    /// promises.</exception>
    Task<SourceRates> ProbeAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel);

    /// <summary>Measures how fast this device computes: in well under 2 s, on the caller's thread, before any engine
    /// runs. Null when it cannot.</summary>
    DeviceSpeed? MeasureSpeed();

    /// <summary>Gives back weights that no living engine uses.</summary>
    void Trim();
}

/// <summary>Bytes of weights ready so far, of all that the assignment needs, by where they came from.</summary>
/// <param name="LoadedBytes">All that is ready, from wherever.</param>
/// <param name="ReusedBytes">Of these, bytes that were in this device's memory already.</param>
/// <param name="PeerBytes">Of these, bytes that came from other devices.</param>
public readonly record struct LoadProgress(
    long LoadedBytes, long TotalBytes, long ReusedBytes = 0, long PeerBytes = 0);
