using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Accepts links for all positions of a node process and hands each to whoever expects it. One thread waits for all
/// connections whose handshake is not over, so a silent or hostile peer costs a slot for a bounded time, never a
/// thread. A proven link that nobody expects yet waits a bounded time too.
/// </summary>
internal sealed class DataPlaneListener : IDisposable
{
    private const int Backlog = 256;

    /// <summary>Longest sleep of the thread, should a wake-up ever be missed.</summary>
    private static readonly TimeSpan PollMax = TimeSpan.FromSeconds(1);

    /// <summary>Between tries while accepting fails.</summary>
    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(10);

    private readonly DataPlaneOptions _options;
    private readonly TimeProvider _time;
    private readonly ManualResetEventSlim _stopped = new();
    private readonly Socket _socket;
    private readonly Thread _thread;
    private readonly Lock _gate = new();
    private readonly List<IncomingLink> _shaking = [];
    private readonly Dictionary<LinkKey, IncomingLink> _early = [];
    private readonly Dictionary<LinkKey, Expectation> _expected = [];
    private readonly Dictionary<LinkKind, INodeLinkServer> _servers = [];

    /// <summary>Links between nodes that agree on TLS.</summary>
    private readonly HashSet<IncomingLink> _securing = [];
    private Epoch _oldest = Epoch.None;
    private volatile bool _stopping;

    /// <exception cref="SocketException">The endpoint cannot be bound, e.g. the port is taken.</exception>
    public DataPlaneListener(DataPlaneOptions options, TimeProvider time)
    {
        _options = options;
        _time = time;
        _socket = new Socket(options.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _socket.Bind(options.Listen);
            _socket.Listen(Backlog);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }

        Endpoint = (IPEndPoint)_socket.LocalEndPoint!;
        _thread = new Thread(Run) { IsBackground = true, Name = $"data-plane-listener-{Endpoint.Port}" };
        _thread.Start();
    }

    /// <summary>Where it listens, with the port that was really bound.</summary>
    public IPEndPoint Endpoint { get; }

    /// <summary>Waits for the link with this key; it may have come already.</summary>
    /// <param name="peer">What to call the other end in errors.</param>
    /// <param name="deadline">When cancelled, waiting ends.</param>
    /// <param name="node">The peer's node, for errors; null where it is not known.</param>
    /// <exception cref="PeerLostException">The link did not come before the deadline.</exception>
    /// <exception cref="StaleEpochException">The key's epoch is over.</exception>
    public async Task<SocketLink> ExpectAsync(
        LinkKey key, string peer, CancellationToken deadline, string? node = null)
    {
        var incoming = await MeetAsync(key, peer, node, deadline).ConfigureAwait(false);
        using var limit = new CancellationTokenSource(_options.HandshakeTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, deadline);
        return await incoming.OpenAsync(peer, node, both.Token).ConfigureAwait(false);
    }

    /// <summary>From now on links between nodes of this kind go to <paramref name="server"/>; before, their diallers
    /// are told to try again.</summary>
    internal void Serve(LinkKind kind, INodeLinkServer server)
    {
        Invariant.Holds(LinkKey.OfNodes(kind).IsOfNodes);
        lock (_gate) _servers.Add(kind, server);
    }

    /// <summary>Refuses links of older epochs from now on, and ends waiting for them.</summary>
    public void RetireBefore(Epoch epoch)
    {
        List<KeyValuePair<LinkKey, Expectation>> stale;
        lock (_gate)
        {
            if (epoch <= _oldest) return;
            _oldest = epoch;
            stale = [.. _expected.Where(entry => entry.Key.Epoch < epoch)];
            foreach (var key in _early.Keys.Where(key => key.Epoch < epoch).ToList())
            {
                RefuseStale(_early[key]);
                _early.Remove(key);
            }
        }

        foreach (var (key, expectation) in stale)
        {
            GiveUp(key, expectation, new StaleEpochException(key.Epoch, epoch));
        }
    }

    /// <summary>Stops listening; links that were handed out live on.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopping) return;
            _stopping = true;
        }

        _stopped.Set();
        _socket.Dispose();
        // The event is left to the collector: should the thread be late, it must not meet a disposed one.
        _thread.Join(2 * PollMax);
        List<KeyValuePair<LinkKey, Expectation>> left;
        lock (_gate)
        {
            left = [.. _expected];
            foreach (var incoming in _shaking.Concat(_early.Values).Concat(_securing)) incoming.Dispose();
            _shaking.Clear();
            _early.Clear();
        }

        foreach (var (key, expectation) in left)
        {
            GiveUp(key, expectation, new PeerLostException(
                expectation.Peer, "this node's listener was closed")
            { Node = expectation.Node });
        }
    }

    /// <summary>Waits for the connection that is to become the link, and has it accepted.</summary>
    private async Task<IncomingLink> MeetAsync(LinkKey key, string peer, string? node, CancellationToken deadline)
    {
        var expectation = new Expectation(peer, node);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            if (key.Epoch < _oldest) throw new StaleEpochException(key.Epoch, _oldest);
            if (_early.Remove(key, out var early) && early.Accept()) return early;
            Invariant.Holds(_expected.TryAdd(key, expectation));
        }

        await using var _ = deadline.Register(() => GiveUp(
            key,
            expectation,
            new PeerLostException(peer, $"{key} was not dialled in time") { Node = node, IsSilent = true }));
        return await expectation.Incoming.Task.ConfigureAwait(false);
    }

    private void Run()
    {
        var readable = new List<Socket>();
        var bySocket = new Dictionary<Socket, IncomingLink>();
        while (!_stopping)
        {
            TimeSpan wait;
            bySocket.Clear();
            lock (_gate)
            {
                wait = ExpireAndFindNextDeadline();
                foreach (var incoming in _shaking.Concat(_early.Values)) bySocket.Add(incoming.Socket, incoming);
            }

            readable.Clear();
            readable.Add(_socket);
            readable.AddRange(bySocket.Keys);
            try
            {
                Socket.Select(readable, null, null, wait);
                if (readable.Remove(_socket)) AcceptOne();
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                // The listener is closing, a link was handed out and closed meanwhile, or the process has no file
                // descriptor left: look again, but not in a hot loop.
                _stopped.WaitHandle.WaitOne(RetryPause);
                continue;
            }

            lock (_gate)
            {
                foreach (var socket in readable) Advance(bySocket[socket]);
            }
        }
    }

    private void AcceptOne()
    {
        // Only this thread accepts and Linux keeps reset connections in the queue, so this does not block.
        var socket = _socket.Accept();
        lock (_gate)
        {
            if (_shaking.Count == _options.HandshakesMax)
            {
                // An honest handshake takes a round trip; whoever has been at it longest is the one to doubt.
                _shaking[0].Dispose();
                _shaking.RemoveAt(0);
            }

            try
            {
                _shaking.Add(new IncomingLink(socket, _options.Credentials, DeadlineIn(_options.HandshakeTimeout)));
            }
            catch (SocketException)
            {
                socket.Dispose();
            }
        }
    }

    private void Advance(IncomingLink incoming)
    {
        // Handed out or thrown out between Select and the lock: no longer ours to read.
        var isShaking = _shaking.Contains(incoming);
        var isEarly = !isShaking && incoming.IsProven
            && _early.TryGetValue(incoming.Key, out var early) && early == incoming;
        if (!isShaking && !isEarly) return;

        switch (incoming.Read())
        {
            case IncomingLink.Outcome.Waiting:
                return;
            case IncomingLink.Outcome.Proven:
                _shaking.Remove(incoming);
                Meet(incoming);
                return;
            case IncomingLink.Outcome.Over:
                _shaking.Remove(incoming);
                if (isEarly) _early.Remove(incoming.Key);
                incoming.Dispose();
                return;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    private void Meet(IncomingLink incoming)
    {
        var key = incoming.Key;
        if (key.IsOfNodes)
        {
            HandToServer(incoming);
        }
        else if (key.Epoch < _oldest)
        {
            RefuseStale(incoming);
        }
        else if (_expected.Remove(key, out var expectation))
        {
            if (incoming.Accept())
            {
                expectation.Incoming.SetResult(incoming);
            }
            else
            {
                _expected.Add(key, expectation);
                incoming.Dispose();
            }
        }
        else if (_early.Remove(key, out var older))
        {
            older.Refuse(HandshakeStatus.Refused, "another connection with the same key replaced it");
            _early.Add(key, incoming);
            incoming.Deadline = DeadlineIn(_options.EarlyTimeout);
        }
        else if (_early.Count == _options.EarlyMax)
        {
            incoming.Refuse(HandshakeStatus.NotNow, $"{_early.Count} links wait to be expected already");
        }
        else
        {
            _early.Add(key, incoming);
            incoming.Deadline = DeadlineIn(_options.EarlyTimeout);
        }
    }

    private void HandToServer(IncomingLink incoming)
    {
        if (!_servers.TryGetValue(incoming.Key.Kind, out var server))
        {
            incoming.Refuse(HandshakeStatus.NotNow, $"it does not serve {incoming.Key.Kind} links yet");
        }
        else if (!server.HasRoom())
        {
            incoming.Refuse(HandshakeStatus.NotNow, $"it serves as many {incoming.Key.Kind} links as it may");
        }
        else if (_securing.Count == _options.HandshakesMax)
        {
            incoming.Refuse(HandshakeStatus.NotNow, $"{_securing.Count} links agree on TLS already");
        }
        else if (incoming.Accept())
        {
            _ = OpenForAsync(server, incoming);
        }
        else
        {
            incoming.Dispose();
        }
    }

    /// <summary>Ends before it returns where links are not encrypted.</summary>
    private async Task OpenForAsync(INodeLinkServer server, IncomingLink incoming)
    {
        lock (_gate) _securing.Add(incoming);
        try
        {
            using var limit = new CancellationTokenSource(_options.HandshakeTimeout, _time);
            server.Take(await incoming.OpenAsync(limit.Token).ConfigureAwait(false));
        }
        catch (Exception error) when (IncomingLink.IsPeersFault(error))
        {
            // The dialler knows why, and tries again.
            incoming.Dispose();
        }
        finally
        {
            lock (_gate) _securing.Remove(incoming);
        }
    }

    private void RefuseStale(IncomingLink incoming) => incoming.Refuse(
        HandshakeStatus.Refused, $"epoch {incoming.Key.Epoch} is over, this node is at {_oldest}");

    private TimeSpan ExpireAndFindNextDeadline()
    {
        var now = _time.GetTimestamp();
        foreach (var incoming in _shaking.Where(incoming => incoming.Deadline <= now)) incoming.Dispose();
        _shaking.RemoveAll(incoming => incoming.Deadline <= now);
        foreach (var incoming in _early.Values.Where(incoming => incoming.Deadline <= now).ToList())
        {
            _early.Remove(incoming.Key);
            incoming.Refuse(
                HandshakeStatus.NotNow, $"nobody here expected {incoming.Key} within {_options.EarlyTimeout}");
        }

        var wait = PollMax;
        foreach (var incoming in _shaking.Concat(_early.Values))
        {
            var left = _time.GetElapsedTime(now, incoming.Deadline) + TimeSpan.FromMilliseconds(1);
            if (left < wait) wait = left;
        }

        return wait;
    }

    private long DeadlineIn(TimeSpan span) =>
        _time.GetTimestamp() + (long)(span.TotalSeconds * _time.TimestampFrequency);

    private void GiveUp(LinkKey key, Expectation expectation, Exception reason)
    {
        lock (_gate)
        {
            if (_expected.TryGetValue(key, out var current) && current == expectation) _expected.Remove(key);
        }

        // The link may have come at the same moment: then it is the waiter's and this does nothing.
        expectation.Incoming.TrySetException(reason);
    }

    private sealed record Expectation(string Peer, string? Node)
    {
        public TaskCompletionSource<IncomingLink> Incoming { get; } =
            new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
