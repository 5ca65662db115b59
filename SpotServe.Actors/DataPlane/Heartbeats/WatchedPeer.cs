using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The connection on which another node's beats come in. Dials, and dials again when it breaks, on a thread of its own
/// for as long as that takes. Guarded by its owner's lock.
/// </summary>
internal sealed class WatchedPeer(string node, IPEndPoint endpoint, LinkCredentials credentials)
{
    public const int BeatBytes = sizeof(long);

    private static readonly LinkKey Key = LinkKey.OfNodes(LinkKind.Heartbeat);

    private readonly CancellationTokenSource _ended = new();
    private readonly byte[] _received = new byte[64 * BeatBytes];
    private int _receivedBytes;

    public string Node { get; } = node;

    public IPEndPoint Endpoint { get; } = endpoint;

    /// <summary>Null while it is being dialled.</summary>
    public ProvenSocket? Connection { get; private set; }

    /// <summary>Those who want to hear of its loss.</summary>
    public List<Action<string, string>> Listeners { get; } = [];

    public bool IsEnded => _ended.IsCancellationRequested;

    /// <summary>Dials until there is a connection, it is refused for good, or the watch ends.</summary>
    /// <param name="done">From the dialling thread: the socket, or why there will be none.</param>
    public void Dial(Action<WatchedPeer, ProvenSocket?, string> done)
    {
        Invariant.Holds(Connection is null);
        var target = new DialTarget(Endpoint, $"{Node} ({Endpoint})", Node);
        var thread = new Thread(() =>
        {
            try
            {
                done(this, LinkDialler.Dial(Key, target, credentials, _ended.Token), "");
            }
            catch (PeerLostException error)
            {
                done(this, null, error.Message);
            }
        });
        thread.IsBackground = true;
        thread.Name = $"heartbeat-dial-{Endpoint}";
        thread.Start();
    }

    /// <summary>Begins to read from a new connection.</summary>
    /// <returns>The process of a beat that came with the end of the handshake; null when none did.</returns>
    public long? Attach(ProvenSocket connection)
    {
        Invariant.Holds(Connection is null);
        Connection = connection;
        try
        {
            _receivedBytes = connection.ReceiveRead(_received);
        }
        catch (SocketException)
        {
            _receivedBytes = 0;   // The socket is readable now, and reading says so again.
        }

        return TakeLastBeat();
    }

    /// <summary>Reads the beats that have arrived. Called when the socket is readable; never blocks.</summary>
    /// <returns>The process that the last of them came from, or null when none is complete; false when the connection
    /// is over.</returns>
    public (bool IsOpen, long? Incarnation) Read()
    {
        try
        {
            if (Connection!.ReceiveArrived(_received.AsSpan(_receivedBytes)) is not { } count) return (false, null);
            _receivedBytes += count;
        }
        catch (SocketException)
        {
            return (false, null);
        }

        return (true, TakeLastBeat());
    }

    public void Detach()
    {
        Connection?.Dispose();
        Connection = null;
    }

    /// <summary>Ends the connection or the dialling.</summary>
    public void End()
    {
        _ended.Cancel();
        Detach();
    }

    /// <summary>The process that the last whole beat came from; what is left of the next stays.</summary>
    private long? TakeLastBeat()
    {
        var whole = _receivedBytes / BeatBytes * BeatBytes;
        if (whole == 0) return null;
        var incarnation = BinaryPrimitives.ReadInt64LittleEndian(_received.AsSpan(whole - BeatBytes));
        _received.AsSpan(whole, _receivedBytes - whole).CopyTo(_received);
        _receivedBytes -= whole;
        return incarnation;
    }
}
