using System.Net.Sockets;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// A link over TCP. Only blocking calls: a socket that was never used asynchronously blocks in the kernel, which
/// costs a third of what the runtime's emulation over epoll does.
/// </summary>
internal sealed class SocketLink : ILink
{
    /// <summary>Small frames go out and come in with one system call through buffers of this size; what is longer
    /// goes straight from and into the caller's memory.</summary>
    private const int BufferBytes = 16 * 1024;

    private readonly ProvenSocket _proven;
    private readonly byte[] _sending = new byte[BufferBytes];
    private readonly byte[] _received = new byte[BufferBytes];
    private int _receivedFrom;
    private int _receivedTo;
    private volatile bool _closed;

    /// <summary>Takes over a connected socket on which the handshake is done.</summary>
    /// <param name="node">The peer's node, where it is known.</param>
    internal SocketLink(ProvenSocket proven, LinkKey key, string peer, string? node = null)
    {
        var socket = proven.Socket;
        Node = node;
        _proven = proven;
        Key = key;
        Peer = peer;
        socket.NoDelay = true;
        socket.ReceiveTimeout = 0;
        socket.SendTimeout = 0;
    }

    public LinkKey Key { get; }

    public string Peer { get; }

    public string? Node { get; }

    /// <summary>For waiting on several links at once; nobody else reads or writes it.</summary>
    internal Socket Socket => _proven.Socket;

    public void Send(FrameKind kind, long step, ReadOnlySpan<byte> payload)
    {
        new FrameHeader(kind, payload.Length, Key.Epoch, step).Write(_sending);
        // The first part rides with the header, so that no packet of 24 bytes goes out alone.
        var first = Math.Min(payload.Length, BufferBytes - FrameHeader.Bytes);
        payload[..first].CopyTo(_sending.AsSpan(FrameHeader.Bytes));
        SendAll(_sending.AsSpan(0, FrameHeader.Bytes + first));
        SendAll(payload[first..]);
    }

    public FrameInfo ReceiveHeader()
    {
        while (_receivedTo - _receivedFrom < FrameHeader.Bytes)
        {
            MakeRoomForHeader();
            _receivedTo += ReceiveSome(_received.AsSpan(_receivedTo));
        }

        var violation = FrameHeader.Read(_received.AsSpan(_receivedFrom), Key.Epoch, out var frame);
        if (violation is not null) throw this.Lost($"it sent {violation}");
        _receivedFrom += FrameHeader.Bytes;
        return frame;
    }

    public void ReceivePayload(Span<byte> payload)
    {
        var buffered = Math.Min(payload.Length, _receivedTo - _receivedFrom);
        _received.AsSpan(_receivedFrom, buffered).CopyTo(payload);
        _receivedFrom += buffered;
        for (var rest = payload[buffered..]; rest.Length > 0;) rest = rest[ReceiveSome(rest)..];
    }

    /// <summary>Closes both directions; a thread that waits in a call gets a <see cref="PeerLostException"/>.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        _proven.Abandon();
    }

    private void MakeRoomForHeader()
    {
        if (_receivedFrom == _receivedTo)
        {
            _receivedFrom = _receivedTo = 0;
        }
        else if (BufferBytes - _receivedFrom < FrameHeader.Bytes)
        {
            _received.AsSpan(_receivedFrom, _receivedTo - _receivedFrom).CopyTo(_received);
            _receivedTo -= _receivedFrom;
            _receivedFrom = 0;
        }
    }

    private void SendAll(ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (bytes.Length > 0) _proven.SendAll(bytes);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw Broken(error);
        }
    }

    private int ReceiveSome(Span<byte> into)
    {
        try
        {
            var count = _proven.Receive(into);
            return count > 0 ? count : throw Broken(null);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw Broken(error);
        }
    }

    private PeerLostException Broken(Exception? error) => this.Lost(
        _closed ? $"{Key} was closed on this side"
        : error is SocketException socketError ? $"{Key} broke ({socketError.SocketErrorCode})"
        : $"it closed {Key}",
        error);
}
