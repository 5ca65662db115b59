using System.Collections.Immutable;
using SpotServe.Actors.Execution.Memory;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution;

/// <summary>
/// A part of one device's memory in its wire form: the bytes that another device would need to hold the same. Keeps
/// that memory alive until disposed. Reads and writes of different ranges may run at the same time.
/// </summary>
public interface ITransferBlock : IDisposable
{
    /// <summary>Length of the wire form.</summary>
    long Bytes { get; }

    /// <summary>Host memory that holds the wire form from an offset on without gaps, so that a socket can work on it
    /// directly; empty when it must be copied (device memory, or runs too short to be worth it).</summary>
    Span<byte> Direct(long offset);

    /// <summary>Copies bytes of the wire form out of the memory.</summary>
    void Read(long offset, Span<byte> into);

    /// <summary>Copies bytes of the wire form into the memory.</summary>
    void Write(long offset, ReadOnlySpan<byte> from);

    /// <summary>The memory that holds the wire form from an offset on, together or as rows, so that devices can copy it
    /// to each other; null when it is only to be had through the other calls.</summary>
    MemoryRun? MemoryAt(long offset) => null;
}

/// <summary>
/// KV pages of one engine. Wire form, row-major: [layers][pages][keys, values][kv heads][16 tokens][head size], in the
/// model's weight type.
/// </summary>
/// <param name="Epoch">Of the engine on the device that holds them.</param>
/// <param name="KvHeads">Key/value heads, counted over the whole model.</param>
/// <param name="Pages">Page ids of that engine's replica, at most <see cref="PagesMax"/>.</param>
public sealed record PageRun(Epoch Epoch, LayerRange Layers, AxisRange KvHeads, ImmutableArray<int> Pages)
{
    /// <summary>Most pages of one run; longer lists go in several.</summary>
    public const int PagesMax = 8_192;
}

/// <summary>What one device asks of another: one layer's weights, or pages. Exactly one of the two is set.</summary>
/// <param name="Epoch">The epoch that it is for; a source that knows a newer one refuses.</param>
/// <param name="Weights">Of one layer (or the front or back); wire form: the group's tensors in the model's order,
/// each one's rectangle row-major, in the type that it has in device memory.</param>
/// <param name="Urgent">Not held back for the sake of decoding: nothing is served while it moves.</param>
public sealed record SliceRequest(Epoch Epoch, DeviceId From, WeightSlice? Weights, PageRun? Pages, bool Urgent)
{
    public override string ToString() => Weights is { } weights
        ? $"{weights} of {From}"
        : $"{Pages!.Pages.Length} pages of {Pages.Epoch}, layers {Pages.Layers}, of {From}";
}

/// <summary>Brings slices of other devices into this one's memory.</summary>
public interface ISliceFetcher
{
    /// <summary>Fills a block with what was asked for: checked, resumed after a broken connection, and held back so
    /// that decoding at both ends does not suffer. Several may run at once.</summary>
    /// <exception cref="SliceLostException">The source is gone, does not hold it, or knows a newer epoch.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the block's content is undefined.</exception>
    Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel);
}

/// <summary>Where weights that a device lacks come from; what no order covers comes from the model folder.</summary>
public sealed record WeightOrder(WeightSlice Slice, DeviceId From);

/// <summary>What a device is to have ready for an epoch.</summary>
/// <param name="Weights">Slices to fetch from peers. A source that fails is replaced by the model folder.</param>
/// <param name="SharedPages">Epoch of this device's engine whose pages the new one goes on with: layers of both
/// engines keep their pages in place, ids included. The caller has made sure that kv heads and page count are the same
/// and that nothing writes to a page that the other engine uses. Null: all pages are new.</param>
public sealed record PreparationOrder(
    StageAssignment Assignment, ImmutableArray<WeightOrder> Weights, Epoch? SharedPages)
{
    /// <summary>Epoch of the one engine that the new one's pages have room beside: it serves until the new one does.
    /// Null: the device has no room for another, and pages are made once every older engine is gone.</summary>
    public Epoch? Predecessor { get; init; } = SharedPages;

    /// <summary>Memory is short, and nothing goes on serving: weights that the assignment has no use for are gone
    /// before anything is loaded, and all others before pages are made.</summary>
    public bool FreesFirst { get; init; }

    /// <summary>Everything from the model folder and what the device holds.</summary>
    public static PreparationOrder FromFolder(StageAssignment assignment) => new(assignment, [], null);
}

/// <summary>How fast a device gets weights, in bytes of its memory per second; null where that is not known.</summary>
/// <param name="Peer">From another node.</param>
/// <param name="Disk">From its model folder.</param>
public sealed record SourceRates(double? Peer, double? Disk)
{
    public static SourceRates Unknown { get; } = new(null, null);

    /// <summary>E.g. "1.2 GB/s from peers, 0.6 GB/s from its disk".</summary>
    public override string ToString() => $"{Text(Peer)} from peers, {Text(Disk)} from its disk";

    private static string Text(double? rate) => rate is { } known
        ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{known / 1e9:0.###} GB/s")
        : "nothing known";
}

/// <summary>A slice cannot be had from where it was asked for: another source must do.</summary>
internal sealed class SliceLostException(SliceRequest request, string reason, Exception? inner = null)
    : Exception($"Cannot get {request}: {reason}", inner);

/// <summary>For a device without others: whatever is asked for is not to be had.</summary>
public sealed class NoPeers : ISliceFetcher
{
    public static NoPeers Instance { get; } = new();

    public Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel) =>
        Task.FromException(new SliceLostException(request, "there is no data plane"));
}
