using System.Collections.Immutable;
using Akka.Actor;
using static SpotServe.Actors.Fragments.FragmentProtocol;

namespace SpotServe.Actors.Fragments;

/// <summary>What came of a fragment.</summary>
internal abstract record Taking
{
    private Taking()
    {
    }

    /// <summary>Its message is not complete.</summary>
    /// <param name="Count">Fragments of it that are here.</param>
    public sealed record Taken(int Count) : Taking;

    /// <summary>It was the last that was missing.</summary>
    public sealed record Complete(byte[] Message) : Taking;

    /// <summary>Of a message that is complete: a repetition.</summary>
    public sealed record Over : Taking;

    /// <summary>It cannot be right, or there is no room; what was here of its message is dropped.</summary>
    public sealed record Refused(string Reason) : Taking;
}

/// <summary>
/// Puts messages together from fragments that come in any order, doubled, or never. No fragment takes more memory than
/// its own bytes, whatever it says of the message, and all that is kept is bounded in bytes, number and time, for each
/// sender and for all. No clock: instants are given.
/// </summary>
internal sealed class Reassembly(FragmentLimits limits)
{
    /// <summary>Numbers of complete transfers that are remembered for each sender, to know repetitions.</summary>
    private const int OverMax = 64;

    private readonly Dictionary<IActorRef, Source> _sources = [];

    /// <summary>Bytes of incomplete messages.</summary>
    public long Bytes { get; private set; }

    /// <summary>Incomplete messages.</summary>
    public int Count => _sources.Values.Sum(source => source.Partials.Count);

    /// <summary>Nothing is kept that time would have to end.</summary>
    public bool IsIdle => _sources.Count == 0;

    /// <param name="from">The relay that sent it.</param>
    public Taking Take(IActorRef from, Fragment fragment, TimeSpan now)
    {
        if (Violation(fragment) is { } violation) return Refuse(from, fragment.Transfer, violation);
        var source = SourceOf(from, now);
        if (source.Over.Contains(fragment.Transfer)) return new Taking.Over();
        if (!source.Partials.TryGetValue(fragment.Transfer, out var partial))
        {
            if (source.Partials.Count >= limits.IncomingFromOneMax) DropStalest(source);
            partial = new Partial(fragment, now);
            source.Partials.Add(fragment.Transfer, partial);
        }
        else if (!partial.IsOf(fragment))
        {
            return Refuse(from, fragment.Transfer, "its fragments contradict each other");
        }

        if (!partial.IsMissing(fragment.Index)) return new Taking.Taken(partial.Taken);
        var bytes = fragment.Content.Length;
        if (source.Bytes + bytes > limits.IncomingFromOneBytesMax || Bytes + bytes > limits.IncomingBytesMax)
        {
            return Refuse(
                from, fragment.Transfer,
                $"{Bytes:N0} bytes of incomplete messages are here already, {source.Bytes:N0} of this sender");
        }

        partial.Add(fragment, now);
        source.Bytes += bytes;
        Bytes += bytes;
        if (!partial.IsComplete) return new Taking.Taken(partial.Taken);
        Drop(source, fragment.Transfer);
        source.Remember(fragment.Transfer, OverMax);
        return new Taking.Complete(partial.Join());
    }

    /// <summary>Drops what has been silent or incomplete for too long.</summary>
    public void Expire(TimeSpan now)
    {
        foreach (var (from, source) in _sources.ToArray())
        {
            foreach (var (transfer, partial) in source.Partials.ToArray())
            {
                if (now - partial.HeardAt >= limits.SilenceMax || now - partial.BegunAt >= limits.TransferMax)
                    Drop(source, transfer);
            }

            // Repetitions of what is over come within moments.
            if (source.Partials.Count == 0 && now - source.HeardAt >= limits.TransferMax) _sources.Remove(from);
        }
    }

    private string? Violation(Fragment fragment)
    {
        var length = fragment.MessageBytes;
        if (length is < 1 or > FragmentLimits.MessageBytesMax)
            return $"a message of {length:N0} bytes; at most {FragmentLimits.MessageBytesMax:N0} are sent";
        if (fragment.Count != limits.Count(length)) return $"{fragment.Count} fragments of {length:N0} bytes";
        if (fragment.Index < 0 || fragment.Index >= fragment.Count)
            return $"fragment {fragment.Index} of {fragment.Count}";
        if (fragment.Content.IsDefault || fragment.Content.Length != limits.BytesOf(fragment.Index, length))
            return $"fragment {fragment.Index} of {fragment.Count} has another length than it must have";
        return fragment.Target is null || fragment.Sender is null ? "it names no target or no sender" : null;
    }

    private Taking.Refused Refuse(IActorRef from, long transfer, string reason)
    {
        if (_sources.TryGetValue(from, out var source)) Drop(source, transfer);
        return new Taking.Refused(reason);
    }

    private Source SourceOf(IActorRef from, TimeSpan now)
    {
        if (!_sources.TryGetValue(from, out var source))
        {
            if (_sources.Count >= limits.SendersMax)
            {
                var (stalest, itsSource) = _sources.MinBy(known => known.Value.HeardAt);
                foreach (var transfer in itsSource.Partials.Keys.ToArray()) Drop(itsSource, transfer);
                _sources.Remove(stalest);
            }

            source = new Source();
            _sources.Add(from, source);
        }

        source.HeardAt = now;
        return source;
    }

    private void DropStalest(Source source) =>
        Drop(source, source.Partials.MinBy(partial => (partial.Value.HeardAt, partial.Key)).Key);

    private void Drop(Source source, long transfer)
    {
        if (!source.Partials.Remove(transfer, out var partial)) return;
        source.Bytes -= partial.Bytes;
        Bytes -= partial.Bytes;
        Invariant.Holds(source.Bytes >= 0 && Bytes >= source.Bytes);
    }

    private sealed class Source
    {
        private readonly Queue<long> _overInOrder = [];

        public Dictionary<long, Partial> Partials { get; } = [];

        public HashSet<long> Over { get; } = [];

        public long Bytes { get; set; }

        public TimeSpan HeardAt { get; set; }

        public void Remember(long transfer, int most)
        {
            if (_overInOrder.Count >= most) Over.Remove(_overInOrder.Dequeue());
            _overInOrder.Enqueue(transfer);
            Over.Add(transfer);
        }
    }

    /// <summary>One incomplete message.</summary>
    private sealed class Partial(Fragment first, TimeSpan now)
    {
        private readonly ImmutableArray<byte>[] _contents = new ImmutableArray<byte>[first.Count];

        public TimeSpan BegunAt { get; } = now;

        public TimeSpan HeardAt { get; private set; } = now;

        public int Taken { get; private set; }

        public long Bytes { get; private set; }

        public bool IsComplete => Taken == _contents.Length;

        public bool IsOf(Fragment fragment) => fragment.MessageBytes == first.MessageBytes
            && fragment.Target.Equals(first.Target) && fragment.Sender.Equals(first.Sender);

        public bool IsMissing(int index) => _contents[index].IsDefault;

        public void Add(Fragment fragment, TimeSpan at)
        {
            _contents[fragment.Index] = fragment.Content;
            Bytes += fragment.Content.Length;
            Taken++;
            HeardAt = at;
        }

        public byte[] Join()
        {
            var message = new byte[first.MessageBytes];
            var at = 0;
            foreach (var content in _contents)
            {
                content.CopyTo(message, at);
                at += content.Length;
            }

            Invariant.Holds(at == message.Length);
            return message;
        }
    }
}
