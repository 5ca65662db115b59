using System.Net;
using System.Net.Sockets;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// Connections of this node to sources: kept when a fetch is done, so that the next one needs no handshake. Bounded
/// per source and in all; those that nobody used for long go when the next one is put back.
/// </summary>
internal sealed class TransferPool(TransferOptions options, LinkCredentials credentials, TimeProvider time)
    : IDisposable
{
    private static readonly LinkKey Key = LinkKey.OfNodes(LinkKind.Transfer);

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _fetches = new(options.FetchesMax);
    private readonly Dictionary<IPEndPoint, Slots> _slots = [];
    private readonly List<Idle> _idle = [];
    private bool _disposed;

    /// <summary>Connections that are kept and not used.</summary>
    public int IdleCount
    {
        get
        {
            lock (_gate) return _idle.Count;
        }
    }

    /// <summary>Waits for the right to one connection to a source; dispose to give it back.</summary>
    /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
    public async Task<IDisposable> EnterAsync(IPEndPoint endpoint, CancellationToken cancel)
    {
        // The source's slot first: fetches that wait for a busy source do not keep others from theirs.
        Slots slots;
        lock (_gate)
        {
            if (!_slots.TryGetValue(endpoint, out slots!))
            {
                slots = new Slots(new SemaphoreSlim(options.ConnectionsPerPeerMax));
                _slots.Add(endpoint, slots);
            }

            slots.Users++;
        }

        var held = 0;
        try
        {
            await slots.Free.WaitAsync(cancel).ConfigureAwait(false);
            held = 1;
            await _fetches.WaitAsync(cancel).ConfigureAwait(false);
            held = 2;
            return new Entry(() => Leave(endpoint, slots, held: 2));
        }
        finally
        {
            if (held < 2) Leave(endpoint, slots, held);
        }
    }

    /// <summary>A connection to the source, kept or new. On the caller's thread.</summary>
    /// <exception cref="PeerLostException">The source refused for good.</exception>
    public (DialOutcome Outcome, bool IsKept) Open(DialTarget target, CancellationToken deadline)
    {
        while (TakeIdle(target.Endpoint) is { } kept)
        {
            // Readable without a request means closed by the source, or garbage.
            if (!kept.Socket.Poll(TimeSpan.Zero, SelectMode.SelectRead))
                return (new DialOutcome(kept, false, ""), true);
            kept.Dispose();
        }

        var outcome = LinkDialler.TryOnce(Key, target, credentials, deadline);
        if (outcome.Socket is { } socket)
        {
            socket.Socket.ReceiveTimeout = socket.Socket.SendTimeout = (int)options.ProgressTimeout.TotalMilliseconds;
        }

        return (outcome, false);
    }

    /// <summary>Keeps a connection on which nothing is under way.</summary>
    public void Keep(IPEndPoint endpoint, ProvenSocket socket)
    {
        List<ProvenSocket> old = [];
        var now = time.GetTimestamp();
        lock (_gate)
        {
            if (_disposed) old.Add(socket);
            else _idle.Add(new Idle(endpoint, socket, now));
            // The source closes at its idle timeout: half of that is early enough to be first.
            while (_idle.Count > options.FetchesMax
                || (_idle.Count > 0 && time.GetElapsedTime(_idle[0].Since, now) > options.IdleTimeout / 2))
            {
                old.Add(_idle[0].Socket);
                _idle.RemoveAt(0);
            }
        }

        foreach (var one in old) one.Dispose();
    }

    /// <summary>Closes the connections that are kept; those in use are their fetches'.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            foreach (var idle in _idle) idle.Socket.Dispose();
            _idle.Clear();
        }
    }

    private ProvenSocket? TakeIdle(IPEndPoint endpoint)
    {
        lock (_gate)
        {
            var index = _idle.FindLastIndex(idle => idle.Endpoint.Equals(endpoint));
            if (index < 0) return null;
            var socket = _idle[index].Socket;
            _idle.RemoveAt(index);
            return socket;
        }
    }

    private void Leave(IPEndPoint endpoint, Slots slots, int held)
    {
        if (held > 1) _fetches.Release();
        lock (_gate)
        {
            if (held > 0) slots.Free.Release();
            if (--slots.Users == 0) _slots.Remove(endpoint);
        }
    }

    private sealed record Idle(IPEndPoint Endpoint, ProvenSocket Socket, long Since);

    private sealed class Slots(SemaphoreSlim free)
    {
        public SemaphoreSlim Free { get; } = free;

        /// <summary>Fetches that hold or await a slot. Guarded by the pool's lock.</summary>
        public int Users { get; set; }
    }

    private sealed class Entry(Action leave) : IDisposable
    {
        private Action? _leave = leave;

        public void Dispose() => Interlocked.Exchange(ref _leave, null)?.Invoke();
    }
}
