using System.Net.Sockets;
using System.Text;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// One fetch from another node. What is missing is a queue of ranges: a broken connection leaves the rest of its range
/// at the front, a chunk that fails its checksum goes to the back. Ends when nothing is missing, when too many tries in
/// a row brought no good chunk, or when no byte came for too long.
/// </summary>
internal sealed class SliceTransfer(
    SliceRequest request,
    ITransferBlock into,
    DialTarget target,
    TransferPool pool,
    TransferPacer pacer,
    TransferOptions options,
    TimeProvider time)
{
    private static readonly TimeSpan PauseMin = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan PauseMax = TimeSpan.FromMilliseconds(500);

    private readonly LinkedList<(long From, long To)> _missing = new([(0, into.Bytes)]);
    private int _failures;
    private long? _busySince;
    private string _lastReason = "";

    /// <summary>Runs the fetch on the caller's thread.</summary>
    /// <exception cref="SliceLostException">See the class.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void Run(CancellationToken cancel)
    {
        while (_missing.Count > 0)
        {
            cancel.ThrowIfCancellationRequested();
            if (Connect(cancel) is not var (socket, isKept))
            {
                PauseBeforeNextTry(cancel);
                continue;
            }

            var firstReply = false;
            using var closing = cancel.Register(socket.Abandon);
            try
            {
                // Every range of this fetch over the one connection.
                var stream = new TransferSocket(socket);
                while (_missing.First is { } first) FetchRange(stream, first, ref firstReply, cancel);
                closing.Dispose();
                // Cancelled at the last moment: everything is there, but the connection has been closed.
                if (cancel.IsCancellationRequested) socket.Dispose();
                else pool.Keep(target.Endpoint, socket);
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                socket.Dispose();
                cancel.ThrowIfCancellationRequested();
                if (error is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock })
                {
                    throw Lost($"no byte came for {options.ProgressTimeout.TotalSeconds:0.###} s", error);
                }

                // A kept connection may have been closed by the source just as we asked: that says nothing about it.
                if (!isKept || firstReply) Fail($"the connection broke ({error.Message})");
            }
            catch (Exception error) when (error is SliceLostException or OperationCanceledException)
            {
                socket.Dispose();
                throw;
            }
        }
    }

    private (ProvenSocket Socket, bool IsKept)? Connect(CancellationToken cancel)
    {
        using var limit = new CancellationTokenSource(options.ProgressTimeout, time);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancel);
        try
        {
            var (outcome, isKept) = pool.Open(target, deadline.Token);
            if (outcome.Socket is { } socket)
            {
                _busySince = null;
                return (socket, isKept);
            }

            cancel.ThrowIfCancellationRequested();
            if (limit.IsCancellationRequested)
            {
                throw Lost($"it did not answer for {options.ProgressTimeout.TotalSeconds:0.###} s");
            }

            if (!outcome.IsBusy) Fail(outcome.Reason);
            else WaitWhileBusy(outcome.Reason);
            return null;
        }
        catch (PeerLostException error)
        {
            throw Lost(error.Message, error);
        }
    }

    private void FetchRange(
        TransferSocket stream,
        LinkedListNode<(long From, long To)> range,
        ref bool isAnswered,
        CancellationToken cancel)
    {
        var (offset, end) = range.Value;
        stream.SendAll(TransferWire.EncodeRequest(new TransferRequest(request, offset, end, options.ChunkBytes)));
        ReceiveReply(stream);
        isAnswered = true;
        Span<byte> head = stackalloc byte[TransferWire.ChunkHeadBytes];
        while (true)
        {
            stream.ReceiveAll(head);
            var (sentOffset, sentLength, checksum) = TransferWire.ReadChunkHead(head);
            var length = (int)Math.Min(options.ChunkBytes, end - offset);
            if (sentOffset != offset || sentLength != length)
            {
                // A damaged head: where the next one begins cannot be known.
                throw new SocketException((int)SocketError.ProtocolNotSupported);
            }

            if (length == 0) break;
            var isGood = stream.Receive(into, offset, length) == checksum;
            if (isGood)
            {
                _failures = 0;
                TransferMetrics.Moved(request, TransferMetrics.FromPeer, length);
            }
            else
            {
                _missing.AddLast((offset, offset + length));
                Fail($"the checksum of bytes {offset} to {offset + length} does not agree");
            }

            offset += length;
            range.Value = (offset, end);
            pacer.Take(length, request.Urgent, cancel);
        }

        _missing.Remove(range);
    }

    private void ReceiveReply(TransferSocket stream)
    {
        Span<byte> head = stackalloc byte[TransferWire.ReplyHeadBytes];
        stream.ReceiveAll(head);
        if (TransferWire.ReadReply(head) is not var (status, reasonBytes, totalBytes))
        {
            throw new SocketException((int)SocketError.ProtocolNotSupported);
        }

        Span<byte> reason = stackalloc byte[TransferWire.ReasonBytesMax];
        stream.ReceiveAll(reason[..reasonBytes]);
        if (status != TransferStatus.Sending) throw Lost(Encoding.UTF8.GetString(reason[..reasonBytes]));
        if (totalBytes == into.Bytes) return;
        throw Lost($"the source has {totalBytes} bytes where {into.Bytes} are due");
    }

    private void Fail(string reason)
    {
        _lastReason = reason;
        TransferMetrics.Retries.Add(1);
        if (++_failures >= options.TriesMax) throw Lost($"{_failures} tries in a row failed, the last one: {reason}");
    }

    private void WaitWhileBusy(string reason)
    {
        _lastReason = reason;
        _busySince ??= time.GetTimestamp();
        if (time.GetElapsedTime(_busySince.Value) < options.BusyTimeout) return;
        throw Lost($"it was too busy for {options.BusyTimeout.TotalSeconds:0.###} s: {reason}");
    }

    private void PauseBeforeNextTry(CancellationToken cancel)
    {
        var pause = PauseMin * Math.Pow(2, Math.Min(_failures, 10));
        cancel.WaitHandle.WaitOne(_busySince is not null || pause > PauseMax ? PauseMax : pause);
    }

    private SliceLostException Lost(string reason, Exception? inner = null)
    {
        TransferMetrics.Lost.Add(1);
        return new SliceLostException(request, reason, inner);
    }
}
