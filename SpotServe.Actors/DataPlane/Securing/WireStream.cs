using System.Net.Sockets;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// What TLS reads from and writes to: a socket, by calls that block in the kernel, so that an encrypted link costs no
/// wake-up more than a plain one. Where a thread serves many connections and must not wait for one of them, it calls
/// <see cref="Feed"/> when the socket is readable, and asynchronous reads end with what was fed.
/// </summary>
internal sealed class WireStream(Socket socket) : Stream
{
    /// <summary>A record of TLS and a little more; a longer one is fed in parts.</summary>
    private const int FedBytesMax = 17 * 1024;

    private readonly Lock _gate = new();
    private byte[] _fed = [];
    private int _fedFrom;
    private int _fedTo;
    private Memory<byte> _wanted;
    private TaskCompletionSource<int>? _waiting;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Takes what the socket has, up to a bound, and hands it to the read that waits. Nothing is taken while
    /// some of the last is left. The socket must be readable.</summary>
    /// <exception cref="SocketException">The connection broke.</exception>
    public void Feed()
    {
        TaskCompletionSource<int>? waiting;
        int count;
        lock (_gate)
        {
            if (_fedFrom < _fedTo) return;
            if (_fed.Length == 0) _fed = new byte[FedBytesMax];
            (_fedFrom, _fedTo) = (0, socket.Receive(_fed));
            if (_waiting is null || _fedTo == 0) return;
            count = TakeFed(_wanted.Span);
            (waiting, _waiting) = (_waiting, null);
        }

        // Outside of the lock: what waits goes on within this call and reads again.
        waiting.SetResult(count);
    }

    public override int Read(Span<byte> buffer) => buffer.IsEmpty ? 0 : socket.Receive(buffer);

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty) return ValueTask.FromResult(0);
        lock (_gate)
        {
            if (_fedFrom < _fedTo) return ValueTask.FromResult(TakeFed(buffer.Span));
            Invariant.Holds(_waiting is null);
            _wanted = buffer;
            _waiting = new TaskCompletionSource<int>();
            return new ValueTask<int>(_waiting.Task);
        }
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length > 0) buffer = buffer[socket.Send(buffer)..];
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
        // Nothing is held back.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private int TakeFed(Span<byte> into)
    {
        var count = Math.Min(into.Length, _fedTo - _fedFrom);
        _fed.AsSpan(_fedFrom, count).CopyTo(into);
        _fedFrom += count;
        return count;
    }
}
