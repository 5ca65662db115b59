using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>A link between two positions of one process: frames are copied through memory, not a socket.</summary>
internal sealed class InProcessLink : ILink
{
    private readonly FrameQueue _out;
    private readonly FrameQueue _in;
    private Action? _peerClosed;

    private InProcessLink(LinkKey key, string peer, FrameQueue into, FrameQueue from)
    {
        Key = key;
        Peer = peer;
        _out = into;
        _in = from;
    }

    public LinkKey Key { get; }

    public string Peer { get; }

    /// <summary>Makes both ends.</summary>
    /// <param name="framesMax">Frames that one end may be ahead of the other before it waits.</param>
    public static (InProcessLink From, InProcessLink To) Pair(LinkKey key, int framesMax)
    {
        var forth = new FrameQueue(framesMax);
        var back = new FrameQueue(framesMax);
        var from = new InProcessLink(key, $"{key.To} in this process", forth, back);
        var to = new InProcessLink(key, $"{key.From} in this process", back, forth);
        back.Closed += () => from._peerClosed?.Invoke();
        forth.Closed += () => to._peerClosed?.Invoke();
        return (from, to);
    }

    public void Send(FrameKind kind, long step, ReadOnlySpan<byte> payload)
    {
        if (!_out.Write(new FrameHeader(kind, payload.Length, Key.Epoch, step), payload)) throw Lost();
    }

    public FrameInfo ReceiveHeader() => _in.Peek(out var header)
        ? new FrameInfo(header.Kind, header.Step, header.PayloadBytes)
        : throw Lost();

    public void ReceivePayload(Span<byte> payload) => _in.Take(payload);

    public void Dispose()
    {
        _out.Close();
        _in.Close();
    }

    /// <summary>Calls back when either end closes, on the closing thread; at once if that was before. The callback
    /// must bear being called twice.</summary>
    internal void WhenClosed(Action callback)
    {
        _peerClosed = callback;
        if (_in.IsClosed) callback();
    }

    private PeerLostException Lost() => new(Peer, $"{Key} was closed");
}

/// <summary>A bounded queue of frames in reused memory, one writer and one reader.</summary>
internal sealed class FrameQueue(int framesMax)
{
    private readonly Slot[] _slots = new Slot[framesMax];
    private readonly object _gate = new();
    private long _written;
    private long _taken;
    private bool _closed;

    public event Action? Closed;

    public bool IsClosed
    {
        get
        {
            lock (_gate) return _closed;
        }
    }

    /// <summary>Waits for a free slot; false when the queue was closed.</summary>
    public bool Write(FrameHeader header, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            while (!_closed && _written - _taken == _slots.Length) Monitor.Wait(_gate);
            if (_closed) return false;
        }

        // The slot is the writer's alone until it is counted as written.
        ref var slot = ref _slots[_written % _slots.Length];
        slot.Header = header;
        if (slot.Payload is null || slot.Payload.Length < payload.Length) slot.Payload = new byte[payload.Length];
        payload.CopyTo(slot.Payload);

        lock (_gate)
        {
            _written++;
            Monitor.PulseAll(_gate);
            return !_closed;
        }
    }

    /// <summary>Waits for a frame and reads its header; false when the queue was closed.</summary>
    public bool Peek(out FrameHeader header)
    {
        lock (_gate)
        {
            while (!_closed && _written == _taken) Monitor.Wait(_gate);
            header = _closed ? default : _slots[_taken % _slots.Length].Header;
            return !_closed;
        }
    }

    /// <summary>Takes the payload of the frame that was peeked.</summary>
    public void Take(Span<byte> payload)
    {
        ref var slot = ref _slots[_taken % _slots.Length];
        Invariant.Holds(payload.Length == slot.Header.PayloadBytes);
        slot.Payload.AsSpan(0, payload.Length).CopyTo(payload);
        lock (_gate)
        {
            _taken++;
            Monitor.PulseAll(_gate);
        }
    }

    public void Close()
    {
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
            Monitor.PulseAll(_gate);
        }

        // Outside the lock: a callback may use the queue.
        Closed?.Invoke();
    }

    private struct Slot
    {
        public FrameHeader Header;
        public byte[]? Payload;
    }
}
