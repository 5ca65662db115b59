using System.Buffers;
using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using Akka.Actor;
using Akka.Remote.Transport;
using Google.Protobuf;

namespace SpotServe.Actors.Remoting;

/// <param name="FrameBytesMax">Longest frame, without its header.</param>
/// <param name="FlushMax">How long a connection that was given up may still send what was written.</param>
internal sealed record FrameLimits(int FrameBytesMax, TimeSpan FlushMax);

/// <summary>
/// A connection as Akka knows it. Frames that are written while others are being sent go out together with the next
/// ones; none is held back. States: open; ending, when Akka has given it up (what was written is still sent, what comes
/// is dropped, and the peer's end is waited for, so that nothing of ours is lost in a reset); closed.
/// </summary>
internal sealed class FramedConnection : AssociationHandle
{
    /// <summary>
    /// Beyond it <see cref="Write"/> refuses, and Akka tries again: a peer that does not read costs so much.
    /// </summary>
    private const int PendingBytesMax = 8 << 20;

    /// <summary>A buffer that grew beyond it in a burst is not kept.</summary>
    private const int KeptBytesMax = 256 << 10;

    private readonly Socket _socket;
    private readonly Stream _stream;
    private readonly FrameLimits _limits;
    private readonly RefusalLog _refusals;
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _flushed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _readToEnd = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Lock _lock = new();   // Of the fields below.
    private ArrayBufferWriter<byte> _written = new();
    private ArrayBufferWriter<byte> _spare = new();
    private bool _isSending;
    private bool _isEnding;

    public FramedConnection(
        Address local, Address remote, Socket socket, Stream stream, FrameLimits limits, RefusalLog refusals)
        : base(local, remote)
    {
        _socket = socket;
        _stream = stream;
        _limits = limits;
        _refusals = refusals;
    }

    /// <summary>Completes when the socket is closed. Never fails.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Whether it only sends what is left.</summary>
    public bool IsEnding
    {
        get
        {
            lock (_lock) return _isEnding;
        }
    }

    /// <summary>Starts reading as soon as Akka has said whom to tell.</summary>
    public void Start() => _ = Task.Run(ReadAsync);

    public override bool Write(ByteString payload)
    {
        lock (_lock)
        {
            if (_isEnding || _written.WrittenCount + payload.Length > PendingBytesMax) return false;
            var frame = _written.GetSpan(FrameReader.HeaderBytes + payload.Length);
            BinaryPrimitives.WriteInt32LittleEndian(frame, payload.Length);
            payload.Span.CopyTo(frame[FrameReader.HeaderBytes..]);
            _written.Advance(FrameReader.HeaderBytes + payload.Length);
            if (_isSending) return true;
            _isSending = true;
        }

        // On this thread: a socket that has room takes it at once, without a way over the pool.
        _ = SendAsync();
        return true;
    }

    /// <summary>Akka gives the connection up.</summary>
    [Obsolete("Akka's own signature.")]
    public override void Disassociate()
    {
        lock (_lock)
        {
            if (_isEnding) return;
            _isEnding = true;
            if (!_isSending) _flushed.TrySetResult();
        }

        _ = EndAsync();
    }

    /// <summary>Closes at once.</summary>
    public void Close()
    {
        lock (_lock) _isEnding = true;
        _closing.Cancel();
        _socket.Dispose();
        _stream.Dispose();
        _closed.TrySetResult();
    }

    private async Task SendAsync()
    {
        var isSent = false;
        try
        {
            while (Take() is { } batch)
            {
                await _stream.WriteAsync(batch.WrittenMemory, _closing.Token).ConfigureAwait(false);
                batch.Clear();
                lock (_lock) _spare = batch.Capacity <= KeptBytesMax ? batch : new ArrayBufferWriter<byte>();
            }

            isSent = true;
        }
        catch (Exception error) when (FrameSecurity.IsPeersFault(error))
        {
            // The reader tells Akka.
        }
        finally
        {
            // Also after an error that nobody thought of: else frames would be taken and never sent.
            if (!isSent) Close();
        }
    }

    private ArrayBufferWriter<byte>? Take()
    {
        lock (_lock)
        {
            if (_written.WrittenCount == 0)
            {
                _isSending = false;
                if (_isEnding) _flushed.TrySetResult();
                return null;
            }

            var batch = _written;
            _written = _spare;
            return batch;
        }
    }

    private async Task ReadAsync()
    {
        IHandleEventListener? listener = null;
        var why = DisassociateInfo.Unknown;
        try
        {
            listener = await ReadHandlerSource.Task.WaitAsync(_closing.Token).ConfigureAwait(false);
            var reader = new FrameReader(_stream, _limits.FrameBytesMax);
            while (await reader.NextAsync(_closing.Token).ConfigureAwait(false) is { } frame)
            {
                if (!IsEnding) listener.Notify(new InboundPayload(frame));
            }
        }
        catch (InvalidDataException error)
        {
            _refusals.Warn($"Closed the connection with {RemoteAddress}, which sent {error.Message}");
        }
        catch (Exception error) when (FrameSecurity.IsPeersFault(error))
        {
            if (IsReset(error)) why = DisassociateInfo.Shutdown;
        }
        finally
        {
            var wasGivenUp = IsEnding;
            _readToEnd.TrySetResult();
            if (!wasGivenUp) Close();
            listener?.Notify(new Disassociated(why));
        }
    }

    private async Task EndAsync()
    {
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            limit.CancelAfter(_limits.FlushMax);
            await _flushed.Task.WaitAsync(limit.Token).ConfigureAwait(false);
            if (_stream is SslStream tls) await tls.ShutdownAsync().WaitAsync(limit.Token).ConfigureAwait(false);
            _socket.Shutdown(SocketShutdown.Send);
            await _readToEnd.Task.WaitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (FrameSecurity.IsPeersFault(error) || error is InvalidOperationException)
        {
            // The peer is gone, or takes too long: nothing more can be done for what was written.
        }
        finally
        {
            // Whatever happened: the transport's end waits for it.
            Close();
        }
    }

    /// <summary>As Akka's own transport tells it: a reset comes from a process that ends, not from a broken
    /// network.</summary>
    private static bool IsReset(Exception error)
    {
        var socketError = error as SocketException ?? error.InnerException as SocketException;
        return socketError?.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted
            or SocketError.OperationAborted;
    }
}
