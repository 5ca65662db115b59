using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The heartbeats of a node process, on one thread of its own that goes before the others: actors' and pool threads may
/// all be busy and the node still lives. It sends beats to every node that dialled it, and watches those that it is
/// told to: a connection each way, so neither needs to know what the other watches.
/// </summary>
internal sealed class HeartbeatService : INodeLinkServer, IDisposable
{
    private readonly HeartbeatOptions _options;
    private readonly LinkCredentials _credentials;
    private readonly TimeProvider _time;
    private readonly long _origin;
    private readonly byte[] _beat = RandomNumberGenerator.GetBytes(WatchedPeer.BeatBytes);
    private readonly Lock _gate = new();
    private readonly List<ProvenSocket> _followers = [];
    private readonly Dictionary<IPEndPoint, WatchedPeer> _peers = [];
    private readonly PulseMonitor<WatchedPeer> _monitor;
    private readonly ManualResetEventSlim _stopped = new();
    private readonly BlockingCollection<WatchedPeer> _toDial = [];
    private readonly Thread _thread;

    public HeartbeatService(HeartbeatOptions options, LinkCredentials credentials, TimeProvider time)
    {
        _options = options;
        _credentials = credentials;
        _time = time;
        _origin = time.GetTimestamp();
        _monitor = new PulseMonitor<WatchedPeer>(options);
        _thread = new Thread(Run) { IsBackground = true, Name = "heartbeats" };
        _thread.Start();
        new Thread(DialWhatIsAsked) { IsBackground = true, Name = "heartbeat-dials" }.Start();
    }

    /// <summary>Watches nodes until disposed.</summary>
    /// <param name="onLost">Node and reason, at most once per node, from the heartbeat thread: must be
    /// quick.</param>
    public IDisposable Watch(IReadOnlyDictionary<string, IPEndPoint> peers, Action<string, string> onLost)
    {
        var watched = new List<(WatchedPeer Peer, Action<string, string> Listener)>();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopped.IsSet, this);
            Invariant.Holds(_peers.Count + peers.Count <= _options.PeersMax);
            foreach (var (node, endpoint) in peers)
            {
                // The watchers of an endpoint share its connection; a new name there is a new process.
                if (!_peers.TryGetValue(endpoint, out var peer) || peer.Node != node) peer = Begin(node, endpoint);
                Action<string, string> listener = (lost, reason) => onLost(lost, reason);
                peer.Listeners.Add(listener);
                watched.Add((peer, listener));
            }
        }

        return new Watching(() => EndWatch(watched));
    }

    public bool HasRoom()
    {
        lock (_gate) return !_stopped.IsSet && _followers.Count < _options.PeersMax;
    }

    public void Take(ProvenSocket follower)
    {
        // The one place where a socket must not block: a follower that reads nothing must not hold up the others.
        follower.Socket.Blocking = false;
        lock (_gate)
        {
            if (_stopped.IsSet || !Sends(follower)) follower.Dispose();
            else _followers.Add(follower);
        }
    }

    /// <summary>Ends all watches and the thread; nothing is reported afterwards.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopped.IsSet) return;
            _stopped.Set();
            _toDial.CompleteAdding();
        }

        if (Thread.CurrentThread != _thread) _thread.Join(_options.Interval + _options.LostAfter);
        lock (_gate)
        {
            foreach (var follower in _followers) follower.Dispose();
            foreach (var peer in _peers.Values) peer.End();
            _followers.Clear();
            _peers.Clear();
        }
    }

    private TimeSpan Now => _time.GetElapsedTime(_origin);

    private WatchedPeer Begin(string node, IPEndPoint endpoint)
    {
        var peer = new WatchedPeer(node, endpoint, _credentials);
        if (_peers.Remove(endpoint, out var former)) _monitor.Condemn(former, $"{node} took its place");
        _peers.Add(endpoint, peer);
        _monitor.Add(peer, Now);
        _toDial.Add(peer);
        return peer;
    }

    private void EndWatch(List<(WatchedPeer Peer, Action<string, string> Listener)> watched)
    {
        lock (_gate)
        {
            foreach (var (peer, listener) in watched)
            {
                peer.Listeners.Remove(listener);
                if (peer.Listeners.Count == 0) Forget(peer);
            }
        }
    }

    private void Forget(WatchedPeer peer)
    {
        _monitor.Remove(peer);
        if (_peers.TryGetValue(peer.Endpoint, out var current) && current == peer) _peers.Remove(peer.Endpoint);
        peer.End();
    }

    private void OnDialled(WatchedPeer peer, ProvenSocket? socket, string reason)
    {
        lock (_gate)
        {
            if (peer.IsEnded || _stopped.IsSet)
            {
                socket?.Dispose();
            }
            else if (socket is null)
            {
                _monitor.Condemn(peer, reason);
            }
            else
            {
                var beat = peer.Attach(socket);
                _monitor.Connected(peer);
                if (beat is { } process) _monitor.Beat(peer, process, Now);
            }
        }
    }

    /// <summary>Each dial has a thread. Starting one takes until it runs, long on a busy machine: neither the
    /// heartbeats nor whoever holds their lock shall wait for that.</summary>
    private void DialWhatIsAsked()
    {
        foreach (var peer in _toDial.GetConsumingEnumerable()) peer.Dial(OnDialled);
    }

    private void Run()
    {
        ThreadUrgency.Raise();
        var readable = new List<Socket>();
        var nextBeat = Now;
        while (!_stopped.IsSet)
        {
            Wait(readable, nextBeat - Now);
            List<(WatchedPeer Peer, string Reason, Action<string, string>[] Listeners)> lost;
            lock (_gate)
            {
                // First of all: others judge this node by it.
                if (Now >= nextBeat)
                {
                    _followers.RemoveAll(follower => !Sends(follower) && IsOver(follower));
                    // The pace is kept when one was late; those that were missed are not made up for.
                    nextBeat = nextBeat + _options.Interval > Now ? nextBeat + _options.Interval : Now;
                }

                // Silence is judged as of before the sockets are asked: this thread may be held up anywhere below and
                // above, and what arrives meanwhile must not be missed.
                var judgedAt = Now;
                FindReadable(readable);
                foreach (var peer in _peers.Values.ToList()) ReadBeats(peer, readable);
                _followers.RemoveAll(
                    follower => readable.Contains(follower.Socket) && IsOver(follower));
                lost = [.. _monitor.Check(judgedAt).Select(entry =>
                    (entry.Peer, entry.Reason, entry.Peer.Listeners.ToArray()))];
                foreach (var (peer, _, _) in lost) Forget(peer);
            }

            foreach (var (peer, reason, listeners) in lost)
            {
                foreach (var listener in listeners) listener(peer.Node, reason);
            }
        }
    }

    private void Wait(List<Socket> sockets, TimeSpan wait)
    {
        sockets.Clear();
        lock (_gate) AddAll(sockets);
        if (wait < TimeSpan.Zero) wait = TimeSpan.Zero;
        try
        {
            if (sockets.Count == 0) _stopped.WaitHandle.WaitOne(wait);
            else Socket.Select(sockets, null, null, wait);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // One was closed by the end of its watch; the others show when they are asked again.
        }
    }

    private void FindReadable(List<Socket> sockets)
    {
        sockets.Clear();
        AddAll(sockets);
        if (sockets.Count > 0) Socket.Select(sockets, null, null, TimeSpan.Zero);
    }

    private void AddAll(List<Socket> sockets)
    {
        sockets.AddRange(_followers.Select(follower => follower.Socket));
        sockets.AddRange(_peers.Values.Select(peer => peer.Connection?.Socket).OfType<Socket>());
    }

    private void ReadBeats(WatchedPeer peer, List<Socket> readable)
    {
        if (peer.Connection is not { } connection || !readable.Contains(connection.Socket)) return;
        var (isOpen, incarnation) = peer.Read();
        if (incarnation is { } process) _monitor.Beat(peer, process, Now);
        if (isOpen) return;
        peer.Detach();
        _monitor.Closed(peer);
        if (!_toDial.IsAddingCompleted) _toDial.Add(peer);
    }

    private bool Sends(ProvenSocket follower) => follower.TrySendAtOnce(_beat);

    private static bool IsOver(ProvenSocket follower)
    {
        // Followers send nothing: one that can be read from has gone, or is none.
        follower.Dispose();
        return true;
    }

    private sealed class Watching(Action end) : IDisposable
    {
        private Action? _end = end;

        public void Dispose() => Interlocked.Exchange(ref _end, null)?.Invoke();
    }
}
