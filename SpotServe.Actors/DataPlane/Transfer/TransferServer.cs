using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Answers other nodes' requests for slices. A thread per connection, up to a limit: where all are taken, the one that
/// has been idle longest is closed for the newcomer, since its owner only keeps it at hand.
/// </summary>
internal sealed class TransferServer(TransferOptions options, TransferPacer pacer) : INodeLinkServer, IDisposable
{
    /// <summary>The threads' frames are shallow; what they move is elsewhere.</summary>
    private const int StackBytes = 256 * 1024;

    private readonly Lock _gate = new();
    private readonly List<Connection> _connections = [];
    private readonly CancellationTokenSource _stopping = new();
    private long _oldest;
    private long _turn;

    /// <summary>Opens what is asked for; null when it is not held. From serving threads, several at once.</summary>
    public Func<SliceRequest, ITransferBlock?>? Source { get; set; }

    /// <summary>Connections that are open.</summary>
    public int ConnectionCount
    {
        get
        {
            lock (_gate) return _connections.Count;
        }
    }

    /// <summary>Refuses requests of older epochs from now on, also in their middle.</summary>
    public void RetireBefore(Epoch epoch)
    {
        lock (_gate) _oldest = Math.Max(_oldest, epoch.Value);
    }

    /// <summary>Opens what a request of this process asks for.</summary>
    /// <exception cref="SliceLostException">It is not to be had.</exception>
    public ITransferBlock Open(SliceRequest request)
    {
        var current = Interlocked.Read(ref _oldest);
        if (request.Epoch.Value < current)
        {
            throw new SliceLostException(request, $"epoch {request.Epoch} is over, the source is at e{current}");
        }

        return Source?.Invoke(request)
            ?? throw new SliceLostException(request, "the source does not hold it");
    }

    public bool HasRoom()
    {
        lock (_gate)
        {
            if (_stopping.IsCancellationRequested) return false;
            if (_connections.Count < options.ServingMax) return true;
            var idle = _connections.Where(connection => connection.IdleSince > 0).MinBy(c => c.IdleSince);
            if (idle is null) return false;
            _connections.Remove(idle);
            idle.Close();
            return true;
        }
    }

    public void Take(ProvenSocket socket)
    {
        socket.Socket.NoDelay = true;
        var connection = new Connection(socket);
        lock (_gate)
        {
            if (_stopping.IsCancellationRequested)
            {
                socket.Dispose();
                return;
            }

            connection.IdleSince = ++_turn;
            _connections.Add(connection);
        }

        new Thread(() => Serve(connection), StackBytes) { IsBackground = true, Name = "transfer-source" }.Start();
    }

    /// <summary>Closes all connections; what they were sending is lost to the others.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopping.Cancel();
            foreach (var connection in _connections) connection.Close();
        }
    }

    private void Serve(Connection connection)
    {
        try
        {
            var socket = new TransferSocket(connection.Socket);
            var bytes = new byte[TransferWire.RequestBytesMax];
            connection.Socket.Socket.SendTimeout = (int)options.ProgressTimeout.TotalMilliseconds;
            connection.Socket.Socket.ReceiveTimeout = (int)options.IdleTimeout.TotalMilliseconds;
            while (Receive(socket, connection, bytes) is { } request)
            {
                Answer(socket, request);
                lock (_gate) connection.IdleSince = ++_turn;
            }
        }
#pragma warning disable CA1031 // The edge of the thread: a broken device must not take the process along.
        catch (Exception)
#pragma warning restore CA1031
        {
            // The other side went or idled, this one closes, or the block's device failed, which its engine reports.
            // Whoever still wants something asks again, a bounded number of times.
        }
        finally
        {
            connection.Close();
            lock (_gate) _connections.Remove(connection);
        }
    }

    /// <summary>Waits for a request; null when what came is none, and the connection is of no use.</summary>
    private TransferRequest? Receive(TransferSocket socket, Connection connection, byte[] bytes)
    {
        var head = bytes.AsSpan(0, TransferWire.RequestHeadBytes);
        socket.ReceiveAll(head);
        lock (_gate) connection.IdleSince = 0;
        if (TransferWire.RequestBytes(head) is not { } length) return null;
        socket.ReceiveAll(bytes.AsSpan(TransferWire.RequestHeadBytes, length - TransferWire.RequestHeadBytes));
        return TransferWire.DecodeRequest(bytes.AsSpan(0, length));
    }

    private void Answer(TransferSocket socket, TransferRequest request)
    {
        ITransferBlock block;
        try
        {
            block = Open(request.Slice);
        }
        catch (SliceLostException error)
        {
            Reply(socket, TransferStatus.Lost, 0, error.Message);
            return;
        }

        using (block)
        {
            if (request.To > block.Bytes)
            {
                Reply(
                    socket, TransferStatus.Lost, block.Bytes,
                    $"it has {block.Bytes} bytes here, bytes up to {request.To} were asked for");
                return;
            }

            Reply(socket, TransferStatus.Sending, block.Bytes, "");
            SendChunks(socket, request, block);
        }
    }

    private void SendChunks(TransferSocket socket, TransferRequest request, ITransferBlock block)
    {
        Span<byte> head = stackalloc byte[TransferWire.ChunkHeadBytes];
        for (var offset = request.From; offset < request.To;)
        {
            // An epoch that ends meanwhile ends its transfers: closing is all that the other side needs to know, as
            // its next try is refused with the reason.
            if (request.Slice.Epoch.Value < Interlocked.Read(ref _oldest)) throw new OperationCanceledException();
            var length = (int)Math.Min(request.ChunkBytes, request.To - offset);
            pacer.Take(length, request.Slice.Urgent, _stopping.Token);
            TransferWire.WriteChunkHead(head, offset, length, socket.HashOf(block, offset, length));
            socket.SendAll(head);
            socket.Send(block, offset, length);
            offset += length;
        }

        TransferWire.WriteChunkHead(head, request.To, 0, 0);
        socket.SendAll(head);
    }

    private static void Reply(TransferSocket socket, TransferStatus status, long totalBytes, string reason)
    {
        Span<byte> reply = stackalloc byte[TransferWire.ReplyHeadBytes + TransferWire.ReasonBytesMax];
        socket.SendAll(reply[..TransferWire.WriteReply(reply, status, totalBytes, reason)]);
    }

    private sealed class Connection(ProvenSocket socket)
    {
        public ProvenSocket Socket { get; } = socket;

        /// <summary>Turn since which no request is answered on it; 0 while one is. Guarded by the server's
        /// lock.</summary>
        public long IdleSince { get; set; }

        public void Close() => Socket.Abandon();
    }
}
