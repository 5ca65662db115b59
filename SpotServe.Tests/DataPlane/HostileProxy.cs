using System.Net;
using System.Net.Sockets;

namespace SpotServe.Tests.DataPlane;

/// <summary>
/// Stands between a node and those who dial it, and does harm to what comes back: to the n-th connection what the
/// n-th harm says, nothing to those after the last.
/// </summary>
internal sealed class HostileProxy : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ended = new();
    private readonly List<Socket> _sockets = [];
    private readonly IPEndPoint _target;
    private readonly Harm[] _harms;
    private int _connections;

    public HostileProxy(IPEndPoint target, params Harm[] harms)
    {
        _target = target;
        _harms = harms;
        _listener.Start();
        Start(Accept);
    }

    /// <param name="AtByte">Bytes that came back before, the handshake's included.</param>
    /// <param name="Cut">Close both sides there; otherwise one bit is turned over.</param>
    public sealed record Harm(long AtByte, bool Cut);

    public IPEndPoint Endpoint => (IPEndPoint)_listener.LocalEndpoint;

    public int Connections => Volatile.Read(ref _connections);

    public void Dispose()
    {
        _ended.Cancel();
        _listener.Stop();
        lock (_sockets) _sockets.ForEach(socket => socket.Dispose());
    }

    private void Accept()
    {
        while (true)
        {
            var near = _listener.AcceptSocket();
            var far = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            far.Connect(_target);
            near.NoDelay = far.NoDelay = true;
            lock (_sockets) _sockets.AddRange([near, far]);
            var turn = Interlocked.Increment(ref _connections) - 1;
            Start(() => Pump(near, far, null));
            Start(() => Pump(far, near, turn < _harms.Length ? _harms[turn] : null));
        }
    }

    private static void Pump(Socket from, Socket to, Harm? harm)
    {
        var buffer = new byte[64 * 1024];
        long passed = 0;
        try
        {
            while (from.Receive(buffer) is > 0 and var count)
            {
                var bytes = buffer.AsSpan(0, count);
                if (harm is not null && harm.AtByte >= passed && harm.AtByte < passed + count)
                {
                    if (harm.Cut) bytes = bytes[..(int)(harm.AtByte - passed)];
                    else bytes[(int)(harm.AtByte - passed)] ^= 0x10;
                }

                passed += count;
                while (bytes.Length > 0) bytes = bytes[to.Send(bytes)..];
                if (harm is { Cut: true } && harm.AtByte < passed) break;
            }
        }
        finally
        {
            // Closing outright would also take back what is still on its way.
            End(from);
            End(to);
        }
    }

    private static void End(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Gone already.
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
            // One of the three ends closed.
        }
    })
    { IsBackground = true }.Start();
}
