using SpotServe.Actors.ModelFolder;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Execution.Memory;

/// <summary>
/// Measures how fast weights get into a device's memory on the ways that a load takes: from the model folder, and from
/// a peer. Little is moved, and dropped again. One call at a time.
/// </summary>
public sealed class RateProbe(WeightStore store, TimeProvider clock)
{
    /// <summary>Enough for a connection to reach its rate, too little to be felt beside it.</summary>
    private const long BytesMax = 16 << 20;

    /// <summary>The folder is read in so many layers: what one place has in the page cache, another may lack.</summary>
    private const int LayersMax = 4;

    /// <summary>Often enough that one of them is disturbed by nothing.</summary>
    private const int RoundsMax = 8;

    private static readonly TimeSpan TimeMax = TimeSpan.FromMilliseconds(100);

    private WeightShape Shape => store.Shape;

    /// <summary>The folder first, then the peer.</summary>
    /// <inheritdoc cref="IDeviceRuntime.ProbeAsync"/>
    public async Task<SourceRates> RunAsync(SliceRequest peer, ISliceFetcher fetcher, CancellationToken cancel)
    {
        var disk = Disk(cancel);
        return new SourceRates(await PeerAsync(peer, fetcher, cancel).ConfigureAwait(false), disk);
    }

    /// <summary>Bytes of device memory per second from the folder; null when nothing could be measured.</summary>
    /// <exception cref="ModelFormatException">The folder's tensors are not those of the configuration.</exception>
    public double? Disk(CancellationToken cancel)
    {
        var share = Part(TensorGroup.Layers, Shape.Geometry.WholeShare(TensorGroup.Layers), BytesMax / LayersMax);
        var layers = Shape.Model.LayerCount;
        var count = Math.Min(layers, LayersMax);
        var pieces =
            from i in Enumerable.Range(0, count)
            from stack in Shape.Stacks(TensorGroup.Layers)
            where IsCutByRows(stack, share)
            select (stack, new WeightKey(TensorGroup.Layers, i * layers / count, share));
        long? begun = null;
        var bytes = 0L;
        foreach (var (stack, key) in pieces)
        {
            var read = Read(stack, key, cancel);
            // The first one also pays for code that runs for the first time.
            if (begun is null) begun = clock.GetTimestamp();
            else bytes += read;
            if (clock.GetElapsedTime(begun.Value) >= TimeMax) break;
        }

        return begun is { } from ? Rate(bytes, clock.GetElapsedTime(from)) : null;
    }

    /// <summary>Bytes per second from a peer; null when it does not send. Fetched again until it was enough or took
    /// long enough, of which the fastest counts: a layer of a small model is over before its connection has its rate,
    /// and code that runs for the first time is no part of it.</summary>
    /// <param name="request">One layer's weights that the peer has; a part of them is fetched.</param>
    public async Task<double?> PeerAsync(SliceRequest request, ISliceFetcher fetcher, CancellationToken cancel)
    {
        var slice = request.Weights!.Value;
        var share = Part(slice.Group, slice.Share, BytesMax);
        if (Shape.Bytes(slice.Group, share) == 0) return null;
        var key = new WeightKey(slice.Group, slice.Layers.First, share);
        var block = Allocate(key);
        try
        {
            var view = WeightViews.Of(Shape, key.Group, share, [block]);
            Invariant.Holds(view is not null);
            double? fastest = null;
            var left = TimeMax;
            var rounds = Math.Clamp(BytesMax / view.Bytes, 1, RoundsMax);
            for (var round = 0; round < rounds && left > TimeSpan.Zero; round++)
            {
                using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                var timed = new TimedBlock(view, clock, left, stop);
                if (!await IsFetchedAsync(timed, stop.Token).ConfigureAwait(false)) break;
                var rate = Rate(timed.MovedBytes, timed.Took);
                if (rate > (fastest ?? 0)) fastest = rate;
                left -= timed.Took;
            }

            return fastest;
        }
        finally
        {
            block.Free();
        }

        async Task<bool> IsFetchedAsync(TimedBlock into, CancellationToken stop)
        {
            try
            {
                await fetcher.FetchAsync(request with { Weights = key.Slice }, into, stop).ConfigureAwait(false);
                into.End();
                return true;
            }
            catch (SliceLostException)
            {
                return false;
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                // Its time was over: what came until then tells.
                return true;
            }
        }
    }

    private static double? Rate(long bytes, TimeSpan took) =>
        bytes > 0 && took > TimeSpan.Zero ? bytes / took.TotalSeconds : null;

    /// <summary>Columns would be read with gaps, which takes longer than a load of whole rows.</summary>
    private bool IsCutByRows(StackedTensors stack, Share share) => stack.Parts.All(
        tensor => tensor.Split != TensorSplit.Input && Shape.RectangleOf(tensor, share).Elements > 0);

    /// <summary>So much of the even axis of a share as takes at most so many bytes.</summary>
    private Share Part(TensorGroup group, Share share, long bytesMax)
    {
        var even = new Share(share.First, share.End, 0, 0, Replicated: false);
        var bytes = Shape.Bytes(group, even);
        if (bytes <= bytesMax) return even;
        return even with { End = share.First + (int)((share.End - share.First) * (double)bytesMax / bytes) };
    }

    private long Read(StackedTensors stack, WeightKey key, CancellationToken cancel)
    {
        if (store.Memory.Map(stack, key, cancel) is { } mapped)
        {
            mapped.Release();
            return mapped.Length;
        }

        var memory = store.Memory.Allocate(stack, key);
        try
        {
            long offset = 0;
            foreach (var tensor in stack.Parts)
            {
                var part = Shape.RectangleOf(tensor, key.Share);
                var placed = new PlacedTensor(tensor, part, memory, offset, stack.Type);
                store.Memory.Load(placed, key.Layer, part, _ => { }, cancel);
                offset += part.Elements * stack.Type.Bytes();
            }

            return offset;
        }
        finally
        {
            memory.Release();
        }
    }

    private WeightBlock Allocate(WeightKey key)
    {
        var memories = new List<TensorBytes>();
        try
        {
            foreach (var stack in Shape.Stacks(key.Group)) memories.Add(store.Memory.Allocate(stack, key));
            return new WeightBlock(Shape, key, [.. memories]);
        }
        catch
        {
            foreach (var memory in memories) memory.Release();
            throw;
        }
    }
}
