using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>One device's part of copying an old replica's pages into its new engine.</summary>
internal static class PageCopy
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
        var inPlace = copy.OldReplica == origin.Homes[position.Replica] && origin.SharedOn.Contains(copy.Device)
            ? PageMoves.InPlace(runtime.Model, origin.Layout, copy.OldReplica, connect.Layout, position)
            : default;
        var bytes = 0L;
        foreach (var move in PageMoves.Of(
            runtime.Model, origin.Layout, copy.OldReplica, connect.Layout, position, inPlace))
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
}
