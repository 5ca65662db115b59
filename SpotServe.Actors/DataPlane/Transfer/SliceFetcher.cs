using System.Net;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Execution.Memory;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The data plane's way to slices of other devices, for one epoch. A fetch runs on a thread of its own; one whose
/// source is on this very node copies memory.
/// </summary>
/// <param name="endpointOf">Data-plane endpoint of a device's node; null when it is not known (any more).</param>
internal sealed class SliceFetcher(
    Epoch epoch,
    Func<DeviceId, IPEndPoint?> endpointOf,
    IPEndPoint self,
    TransferServer server,
    TransferPool pool,
    TransferPacer pacer,
    TransferOptions options,
    TimeProvider time) : ISliceFetcher
{
    public async Task FetchAsync(SliceRequest request, ITransferBlock into, CancellationToken cancel)
    {
        Invariant.Holds(request.Epoch == epoch);
        Invariant.Holds((request.Weights is null) != (request.Pages is null));
        var endpoint = endpointOf(request.From)
            ?? throw new SliceLostException(request, $"no data-plane endpoint of {request.From.Node} is known");
        using var entry = await pool.EnterAsync(endpoint, cancel).ConfigureAwait(false);
        await Task.Factory.StartNew(
            endpoint.Equals(self) ? CopyHere : FetchThere,
            CancellationToken.None,
            TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach,
            TaskScheduler.Default).ConfigureAwait(false);

        void CopyHere()
        {
            using var from = server.Open(request);
            if (from.Bytes != into.Bytes)
            {
                throw new SliceLostException(
                    request, $"the source has {from.Bytes} bytes where {into.Bytes} are due");
            }

            BlockCopy.Run(
                from, into, options.ChunkBytes, bytes => pacer.Take(bytes, request.Urgent, cancel),
                bytes => TransferMetrics.Moved(request, TransferMetrics.FromThisNode, bytes), cancel);
        }

        void FetchThere() => new SliceTransfer(
            request, into, new DialTarget(endpoint, $"{request.From} ({endpoint})", request.From.Node),
            pool, pacer, options, time).Run(cancel);
    }
}
