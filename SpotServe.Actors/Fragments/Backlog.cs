namespace SpotServe.Actors.Fragments;

/// <summary>
/// What waits to be sent from this process: how much, and between whom. Senders add to it and the relay takes away, on
/// their own threads.
/// </summary>
internal sealed class Backlog(long bytesMax)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ActorPair, int> _messages = [];
    private long _bytes;

    public long Bytes
    {
        get
        {
            lock (_lock) return _bytes;
        }
    }

    /// <summary>Whether something waits for this pair. Only its sender adds to it: when the answer is no, that is so
    /// until the sender itself adds something.</summary>
    public bool Has(ActorPair pair)
    {
        lock (_lock) return _messages.ContainsKey(pair);
    }

    /// <summary>False when there is no room.</summary>
    public bool TryAdd(OutgoingMessage message)
    {
        lock (_lock)
        {
            var bytes = message.WaitingBytes;
            if (bytes > 0 && _bytes + bytes > bytesMax) return false;
            _bytes += bytes;
            _messages[message.Pair] = _messages.GetValueOrDefault(message.Pair) + 1;
            return true;
        }
    }

    public void Remove(OutgoingMessage message)
    {
        lock (_lock)
        {
            _bytes -= message.WaitingBytes;
            var left = _messages[message.Pair] - 1;
            Invariant.Holds(left >= 0 && _bytes >= 0);
            if (left == 0) _messages.Remove(message.Pair);
            else _messages[message.Pair] = left;
        }
    }
}
