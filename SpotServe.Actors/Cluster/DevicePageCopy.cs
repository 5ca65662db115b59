using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>One device's part of copying an old replica's pages into its new engine.</summary>
internal static class DevicePageCopy
{
    /// <returns>Bytes that were copied; 0 when all stays in place.</returns>
    /// <exception cref="SliceLostException">Some of it cannot be had any more.</exception>
    public static async Task<long> RunAsync(
        IDeviceRuntime runtime,
        ISliceFetcher fetcher,
        ClusterProtocol.ConnectPosition connect,
        StageAssignment assignment,
        ClusterProtocol.CopyDevicePages copy,
        CancellationToken cancel)
    {
        Invariant.Holds(connect.Origin is not null, "pages are copied when there are some to go on with");
        Invariant.Holds(copy.From.Length == copy.To.Length);
        var origin = connect.Origin;
        var position = assignment.Position;
        var old = origin.At(copy.OldReplica);
        var inPlace = copy.OldReplica == origin.Home && origin.IsShared
            ? PageMoves.InPlace(runtime.Model, old, copy.OldReplica, connect.Replica, position)
            : default;
        var bytes = 0L;
        foreach (var move in PageMoves.Of(
            runtime.Model, old, copy.OldReplica, connect.Replica, position, inPlace))
        {
            for (var first = 0; first < copy.From.Length; first += PageRun.PagesMax)
            {
                var count = Math.Min(PageRun.PagesMax, copy.From.Length - first);
                bytes += await MoveAsync(
                    runtime, fetcher, origin.Epoch, copy, move, first, count, cancel).ConfigureAwait(false);
            }
        }

        return bytes;
    }

    /// <summary>Fetches a piece of one page from every device that pages will come from, and drops it: then links are
    /// up and the code of both ends has run before a stopped replica waits for them. Harmless when it fails.</summary>
    /// <exception cref="SliceLostException">A source is gone, or not reached.</exception>
    public static async Task RehearseAsync(
        IDeviceRuntime runtime,
        ISliceFetcher fetcher,
        ClusterProtocol.ConnectPosition connect,
        StageAssignment assignment,
        PositionOrigin origin,
        CancellationToken cancel)
    {
        var position = assignment.Position;
        foreach (var old in origin.Replicas)
        {
            foreach (var move in PageMoves.Of(
                runtime.Model, old, old.Replica, connect.Replica, position, inPlace: default))
            {
                if (move.From.Node == connect.Device.Node) continue;
                var layer = new LayerRange(move.Layers.First, move.Layers.First + 1);
                var page = new PageRun(origin.Epoch, layer, move.KvHeads, [0]);
                using var into = runtime.OpenPages(page with { Epoch = connect.Epoch });
                if (into is null) return;
                var request = new SliceRequest(connect.Epoch, move.From, null, page, Urgent: true);
                await fetcher.FetchAsync(request, new Dropped(into), cancel).ConfigureAwait(false);
            }
        }
    }

    private static async Task<long> MoveAsync(
        IDeviceRuntime runtime,
        ISliceFetcher fetcher,
        Epoch oldEpoch,
        ClusterProtocol.CopyDevicePages copy,
        PageMove move,
        int first,
        int count,
        CancellationToken cancel)
    {
        var source = new PageRun(oldEpoch, move.Layers, move.KvHeads, copy.From.Slice(first, count));
        var request = new SliceRequest(copy.Epoch, move.From, null, source, copy.Urgent);
        using var into = runtime.OpenPages(source with { Epoch = copy.Epoch, Pages = copy.To.Slice(first, count) })
            ?? throw new SliceLostException(request, "the new engine has no such pages");
        await fetcher.FetchAsync(request, into, cancel).ConfigureAwait(false);
        return into.Bytes;
    }

    /// <summary>Takes what another block would, and keeps nothing.</summary>
    private sealed class Dropped(ITransferBlock block) : ITransferBlock
    {
        public long Bytes => block.Bytes;

        public Span<byte> Direct(long offset) => [];

        public void Read(long offset, Span<byte> into) => block.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> from)
        {
        }

        public void Dispose()
        {
        }
    }
}
