using System.Net;
using System.Net.Sockets;

namespace SpotServe.Tests.DataPlane;

/// <summary>
/// Stands between a data plane and one who dials it, and keeps what it passes on. Told so, it lets single bytes
/// through, one for each permit, on the way back to the dialler.
/// </summary>
internal sealed class WireTap : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly IPEndPoint _target;
    private readonly List<Socket> _sockets = [];
    private readonly MemoryStream _seen = new();
    private readonly SemaphoreSlim _permits = new(0);
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isStepwise;
    private long _back;
    private long _awaited = long.MaxValue;

    public WireTap(IPEndPoint target)
    {
        _target = target;
        _listener.Start();
        Start(() =>
        {
            while (true) Tap(_listener.AcceptSocket());
        });
    }

    public IPEndPoint Endpoint => (IPEndPoint)_listener.LocalEndpoint;

    public int Connections
    {
        get
        {
            lock (_sockets) return _sockets.Count / 2;
        }
    }

    /// <summary>All that was passed on so far, of both ways.</summary>
    public byte[] Seen
    {
        get
        {
            lock (_seen) return _seen.ToArray();
        }
    }

    /// <summary>Completes when so many bytes went back to diallers. To be asked once.</summary>
    public Task UntilBackAsync(long bytes)
    {
        lock (_seen)
        {
            _awaited = bytes;
            if (_back >= bytes) _reached.TrySetResult();
        }

        return _reached.Task;
    }

    /// <summary>From now on each byte on the way back needs a permit. Nothing may be under way.</summary>
    public void GoByteByByte() => _isStepwise = true;

    public void LetOneByteThrough() => _permits.Release();

    public void Dispose()
    {
        _listener.Stop();
        lock (_sockets) _sockets.ForEach(socket => socket.Dispose());
        _permits.Dispose();
    }

    private void Tap(Socket near)
    {
        var far = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        far.Connect(_target);
        near.NoDelay = far.NoDelay = true;
        lock (_sockets) _sockets.AddRange([near, far]);
        Start(() => Pump(near, far, isBack: false));
        Start(() => Pump(far, near, isBack: true));
    }

    private void Pump(Socket from, Socket to, bool isBack)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (from.Receive(buffer) is > 0 and var count)
            {
                lock (_seen) _seen.Write(buffer, 0, count);
                for (var at = 0; at < count;)
                {
                    var isStepwise = isBack && _isStepwise;
                    if (isStepwise) _permits.Wait();
                    at += to.Send(buffer.AsSpan(at, isStepwise ? 1 : count - at));
                }

                if (isBack) WentBack(count);
            }
        }
        finally
        {
            to.Dispose();
            from.Dispose();
        }
    }

    private void WentBack(int count)
    {
        lock (_seen)
        {
            _back += count;
            if (_back >= _awaited) _reached.TrySetResult();
        }
    }

    private static void Start(Action action) => new Thread(() =>
    {
        try
        {
            action();
        }
        catch (Exception error) when (
            error is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // One of the ends closed.
        }
    })
    { IsBackground = true }.Start();
}
