using System.Collections.Immutable;
using Akka.Actor;
using static SpotServe.Actors.Fragments.FragmentProtocol;

namespace SpotServe.Actors.Fragments;

/// <summary>Messages keep their order for each pair of actors.</summary>
internal readonly record struct ActorPair(IActorRef Sender, IActorRef Target);

/// <summary>A message that waits: it is long, or stands behind one that is.</summary>
/// <param name="Bytes">As the serializer wrote it, when it is long; null for one that goes whole when it is its
/// turn.</param>
/// <param name="IsLatest">A later one of the pair and the type takes its place while it waits.</param>
internal sealed record OutgoingMessage(ActorPair Pair, object Message, byte[]? Bytes, bool IsLatest)
{
    public int WaitingBytes => Bytes?.Length ?? 0;
}

/// <summary>What an <see cref="Outbox"/> does to the world.</summary>
internal interface IOutboxSink
{
    void Send(IActorRef relay, Fragment fragment);

    /// <summary>It is the turn of a message that has no bytes: sends it whole, or finds that it is long.</summary>
    /// <returns>Its bytes when it has to go in fragments; null when it was sent, or cannot be.</returns>
    byte[]? SendWhole(OutgoingMessage message);

    /// <summary>The message waits no more.</summary>
    /// <param name="lost">Why it did not arrive; null when it did, as far as is known.</param>
    void Ended(OutgoingMessage message, string? lost);
}

/// <summary>
/// What one process has to send to others in fragments. For each process some transfers run at once, each with a
/// window: the receiver paces them, and what else has to go there is never far behind. For each pair of actors one
/// message goes after the other. No clock: instants are given.
/// </summary>
internal sealed class Outbox(FragmentLimits limits, IOutboxSink sink)
{
    private readonly Dictionary<IActorRef, Destination> _destinations = [];
    private readonly Dictionary<long, Transfer> _transfers = [];
    private long _lastTransfer;

    public bool IsIdle => _destinations.Count == 0;

    /// <param name="relay">Of the process that the target runs in.</param>
    public void Add(IActorRef relay, OutgoingMessage message, TimeSpan now)
    {
        if (!_destinations.TryGetValue(relay, out var destination))
            _destinations.Add(relay, destination = new Destination(relay, now));
        if (!destination.Lanes.TryGetValue(message.Pair, out var lane))
        {
            destination.Lanes.Add(message.Pair, lane = new Lane(message.Pair));
            destination.Ready.Enqueue(lane);
        }

        if (message.IsLatest && lane.Replaceable(message) is { } older)
        {
            sink.Ended(older.Value, "a later one took its place");
            older.Value = message;
        }
        else
        {
            lane.Waiting.AddLast(message);
        }

        Pump(destination, now);
    }

    /// <summary>A receiver has so many fragments of a transfer.</summary>
    /// <param name="relay">Of the process that says so.</param>
    public void OnTaken(IActorRef relay, long number, int count, TimeSpan now)
    {
        if (Find(relay, number) is not { } transfer) return;
        transfer.Destination.HeardAt = now;
        // What is said twice, or of more than was sent, changes nothing.
        if (count <= transfer.Taken || count > transfer.Sent) return;
        transfer.Taken = count;
        transfer.HeardAt = now;
        if (count == transfer.Count) End(transfer, lost: null);
        Pump(transfer.Destination, now);
    }

    public void OnRefused(IActorRef relay, long number, string reason, TimeSpan now)
    {
        if (Find(relay, number) is not { } transfer) return;
        transfer.Destination.HeardAt = now;
        End(transfer, $"it was refused: {reason}");
        Pump(transfer.Destination, now);
    }

    /// <summary>Gives up what has been silent for too long.</summary>
    public void Expire(TimeSpan now)
    {
        foreach (var destination in _destinations.Values.ToArray())
        {
            var late = destination.Active.Where(transfer => now - transfer.HeardAt >= limits.SilenceMax).ToArray();
            if (late.Length == 0) continue;
            foreach (var transfer in late) End(transfer, "nothing was heard of it");
            // A process that says nothing at all is gone, and what else waits for it would wait in vain.
            if (now - destination.HeardAt >= limits.SilenceMax) Clear(destination, "its process is silent");
            Pump(destination, now);
        }
    }

    /// <summary>Gives everything up.</summary>
    public void Clear(string why)
    {
        foreach (var destination in _destinations.Values.ToArray())
        {
            foreach (var transfer in destination.Active.ToArray()) End(transfer, why);
            Clear(destination, why);
        }

        _destinations.Clear();
    }

    /// <summary>Only the process that gets a transfer has a word in it.</summary>
    private Transfer? Find(IActorRef relay, long number) =>
        _transfers.TryGetValue(number, out var transfer) && transfer.Destination.Relay.Equals(relay) ? transfer : null;

    private void Clear(Destination destination, string why)
    {
        foreach (var lane in destination.Ready)
        {
            foreach (var message in lane.Waiting) sink.Ended(message, why);
            lane.Waiting.Clear();
            destination.Lanes.Remove(lane.Pair);
        }

        destination.Ready.Clear();
    }

    private void Pump(Destination destination, TimeSpan now)
    {
        while (destination.Active.Count < limits.TransfersMax && destination.Ready.TryDequeue(out var lane))
            Start(destination, lane, now);
        foreach (var transfer in destination.Active) SendWindow(transfer);
        if (destination.Lanes.Count == 0) _destinations.Remove(destination.Relay);
    }

    /// <summary>Sends what can go whole, up to the first message that has to go in fragments.</summary>
    private void Start(Destination destination, Lane lane, TimeSpan now)
    {
        while (lane.Waiting.First is { Value: var message })
        {
            if ((message.Bytes ?? sink.SendWhole(message)) is { } bytes)
            {
                var count = limits.Count(bytes.Length);
                var transfer = new Transfer(++_lastTransfer, destination, lane, bytes, count, now);
                _transfers.Add(transfer.Number, transfer);
                destination.Active.Add(transfer);
                if (destination.Active.Count == 1) destination.HeardAt = now;
                return;
            }

            lane.Waiting.RemoveFirst();
            sink.Ended(message, lost: null);
        }

        destination.Lanes.Remove(lane.Pair);
    }

    private void SendWindow(Transfer transfer)
    {
        var end = Math.Min(transfer.Count, transfer.Taken + limits.WindowFragments);
        for (; transfer.Sent < end; transfer.Sent++)
        {
            var offset = transfer.Sent * limits.FragmentBytes;
            var content = ImmutableArray.Create(
                transfer.Bytes.AsSpan(offset, limits.BytesOf(transfer.Sent, transfer.Bytes.Length)));
            var (sender, target) = transfer.Lane.Pair;
            sink.Send(transfer.Destination.Relay, new Fragment(
                transfer.Number, transfer.Sent, transfer.Count, transfer.Bytes.Length, target, sender, content));
        }
    }

    private void End(Transfer transfer, string? lost)
    {
        _transfers.Remove(transfer.Number);
        transfer.Destination.Active.Remove(transfer);
        var lane = transfer.Lane;
        var message = lane.Waiting.First!.Value;
        lane.Waiting.RemoveFirst();
        if (lane.Waiting.Count == 0) transfer.Destination.Lanes.Remove(lane.Pair);
        else transfer.Destination.Ready.Enqueue(lane);
        sink.Ended(message, lost);
    }

    /// <summary>A process that something is sent to.</summary>
    private sealed class Destination(IActorRef relay, TimeSpan now)
    {
        public IActorRef Relay => relay;

        public Dictionary<ActorPair, Lane> Lanes { get; } = [];

        /// <summary>Lanes none of whose messages is on its way, in the order of their turns.</summary>
        public Queue<Lane> Ready { get; } = [];

        public List<Transfer> Active { get; } = [];

        /// <summary>When it last answered anything, or began to owe an answer.</summary>
        public TimeSpan HeardAt { get; set; } = now;
    }

    /// <summary>Messages of one pair, in order. The first is on its way unless the lane is ready.</summary>
    private sealed class Lane(ActorPair pair)
    {
        public ActorPair Pair => pair;

        public LinkedList<OutgoingMessage> Waiting { get; } = [];

        /// <summary>The last one, if it waits behind the first and a later one of its kind may take its
        /// place.</summary>
        public LinkedListNode<OutgoingMessage>? Replaceable(OutgoingMessage later) =>
            Waiting.Last is { Value.IsLatest: true } last && last != Waiting.First
            && last.Value.Message.GetType() == later.Message.GetType()
                ? last
                : null;
    }

    private sealed class Transfer(
        long number, Destination destination, Lane lane, byte[] bytes, int count, TimeSpan now)
    {
        public long Number => number;

        public Destination Destination => destination;

        public Lane Lane => lane;

        public byte[] Bytes => bytes;

        public int Count => count;

        public int Sent { get; set; }

        public int Taken { get; set; }

        public TimeSpan HeardAt { get; set; } = now;
    }
}
