using System.Net.Sockets;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// The collective of one rank among others on other nodes: a link to each of them. Short vectors are sent whole to
/// all and added by all; long ones are added slice by slice and the sums handed round. Both add as
/// <see cref="RankSum"/> does, so that all ranks get the same bits whichever way it went.
/// </summary>
/// <remarks>
/// Nobody can block for ever in sending: all go in rounds of at most <see cref="ChunkFloats"/> to and from each peer,
/// and no rank begins a round before it has everyone's frame of the last one. So at most two frames to a peer are
/// unread at a time, and these fit <see cref="SendBufferBytes"/>, which the kernel holds without the peer's help.
/// A rank that abandons a step says so on every link, in place of what was due. Before its next step it reads each link
/// up to where that peer has left the old step, too, so that nothing of it piles up. A peer that needed nothing more of
/// this rank never abandons: its first frame of the next step shows it, and every step begins with a sum, in which all
/// send before they wait.
/// </remarks>
internal sealed class TcpCollective : ICollective
{
    /// <summary>Send buffer of collective links. Linux grants twice as much for its bookkeeping.</summary>
    public const int SendBufferBytes = 192 * 1024;

    /// <summary>Vectors up to this many bytes are sent whole when there are more than two ranks (with two, that is
    /// never more to send). On loopback the two ways cross between 32 and 128 KiB for 3 and 4 ranks.</summary>
    public const int WholeBytesMax = 64 * 1024;

    /// <summary>Most floats to or from one peer in a round.</summary>
    private const int ChunkFloats = 16 * 1024;

    /// <summary>Frames carry step and round in one number.</summary>
    private const int RoundBits = 24;

    /// <summary>Most chunks that a step can have: what bounds a failure's bytes.</summary>
    private const int ChunksMax = 65_536;

    private readonly SocketLink?[] _links;
    private readonly float[]?[] _theirs;
    private readonly int _wholeBytesMax;
    private readonly FrameInfo?[] _pending;
    private readonly bool[] _hasLeft;
    private byte[] _skipped = [];
    private long _step;
    private long _round;
    private bool _isAbandoned;

    /// <param name="links">By rank; null at this one's place.</param>
    /// <param name="wholeBytesMax">Most bytes of a vector that is sent whole.</param>
    public TcpCollective(int rank, IReadOnlyList<SocketLink?> links, int wholeBytesMax = WholeBytesMax)
    {
        Invariant.Holds(links.Count >= 2);
        Invariant.Holds(links.Index().All(entry => (entry.Item is null) == (entry.Index == rank)));
        Rank = rank;
        _links = [.. links];
        _theirs = [.. links.Select(link => link is null ? null : new float[ChunkFloats])];
        _pending = new FrameInfo?[links.Count];
        _hasLeft = new bool[links.Count];
        _wholeBytesMax = links.Count == 2 ? int.MaxValue : wholeBytesMax;
    }

    /// <summary>Gives a link the send buffer that the rounds rely on, before any data flows.</summary>
    /// <returns>What is wrong with the one that the system grants, or null.</returns>
    internal static string? PrepareSocket(Socket socket)
    {
        socket.SendBufferSize = SendBufferBytes;
        return socket.SendBufferSize >= SendBufferBytes
            ? null
            : $"the system grants a send buffer of {socket.SendBufferSize} bytes and collectives need "
                + $"{SendBufferBytes}: raise net.core.wmem_max";
    }

    public int Rank { get; }

    public int RankCount => _links.Length;

    private long Tag => (_step << RoundBits) | _round;

    public void BeginStep(long step)
    {
        Invariant.Holds(step > _step);
        for (var rank = 0; _isAbandoned && rank < RankCount; rank++)
        {
            if (rank != Rank && !_hasLeft[rank]) SkipStep(rank);
        }

        _isAbandoned = false;
        _hasLeft.AsSpan().Clear();
        _step = step;
        _round = 0;
    }

    public void Abandon(StepFailure failure)
    {
        _isAbandoned = true;
        var encoded = StepFailureCodec.Encode(failure);
        foreach (var link in _links) link?.Send(FrameKind.StepFailed, _step << RoundBits, encoded);
    }

    public void AllReduceSum(Span<float> values)
    {
        if ((long)values.Length * sizeof(float) <= _wholeBytesMax)
        {
            SumWhole(values);
        }
        else
        {
            SumBySlices(values);
        }
    }

    public void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all)
    {
        NextRound();
        if (Rank != 0)
        {
            // Rank 0 takes it before it begins anything else, so this waits for nothing that waits for us.
            _links[0]!.Send(FrameKind.Partial, Tag, mine);
            return;
        }

        Invariant.Holds(all.Length == mine.Length * RankCount);
        mine.CopyTo(all);
        for (var from = 1; from < RankCount; from++)
        {
            ReceivePart(from, all.Slice(from * mine.Length, mine.Length));
        }
    }

    public IReadOnlyList<IRankDevice>? Introduce(IRankDevice mine) => null;

    /// <summary>Nothing to tell: devices of other processes sum through this one only.</summary>
    public void ThrowIfOver()
    {
    }

    /// <summary>Closes the links; ranks that wait for this one get a <see cref="PeerLostException"/>.</summary>
    public void Dispose()
    {
        foreach (var link in _links) link?.Dispose();
    }

    private void SumWhole(Span<float> values)
    {
        for (var at = 0; at < values.Length; at += ChunkFloats)
        {
            var chunk = values.Slice(at, Math.Min(ChunkFloats, values.Length - at));
            NextRound();
            for (var i = 1; i < RankCount; i++) To(i).Send(FrameKind.Partial, Tag, chunk);
            ReceivePartials(chunk.Length);
            AddAll(chunk);
        }
    }

    private void SumBySlices(Span<float> values)
    {
        var longestSlice = (values.Length + RankCount - 1) / RankCount;
        for (var at = 0; at < longestSlice; at += ChunkFloats)
        {
            // Frames may be empty where slices differ by an element: a round always hears from everyone.
            var mine = SliceOf(values, Rank, at);
            NextRound();
            for (var i = 1; i < RankCount; i++)
            {
                To(i).Send(FrameKind.Partial, Tag, SliceOf(values, (Rank + i) % RankCount, at));
            }

            ReceivePartials(mine.Length);
            AddAll(mine);

            NextRound();
            for (var i = 1; i < RankCount; i++) To(i).Send(FrameKind.Partial, Tag, mine);
            for (var rank = 0; rank < RankCount; rank++)
            {
                if (rank != Rank) ReceivePart(rank, SliceOf(values, rank, at));
            }
        }
    }

    /// <summary>Peers in an order that differs by rank, so that not all send to the same one first.</summary>
    private SocketLink To(int turn) => _links[(Rank + turn) % RankCount]!;

    /// <summary>At most a chunk of a rank's slice, from <paramref name="at"/> on; empty beyond its end.</summary>
    private Span<float> SliceOf(Span<float> values, int rank, int at)
    {
        var from = (int)((long)values.Length * rank / RankCount);
        var length = (int)((long)values.Length * (rank + 1) / RankCount) - from;
        return at >= length ? [] : values.Slice(from + at, Math.Min(ChunkFloats, length - at));
    }

    private void ReceivePartials(int count)
    {
        for (var rank = 0; rank < RankCount; rank++)
        {
            if (rank != Rank) ReceivePart(rank, _theirs[rank].AsSpan(0, count));
        }
    }

    /// <summary>Receives another rank's part of this round.</summary>
    private void ReceivePart(int rank, Span<float> into)
    {
        var link = _links[rank]!;
        while (true)
        {
            var frame = TakeHeader(rank);
            var step = frame.Step >> RoundBits;
            if (step < _step)
            {
                Skip(link, frame);
                continue;
            }

            if (frame.Kind == FrameKind.StepFailed && step == _step)
            {
                _hasLeft[rank] = true;
                throw new StepFailedException(link.ReceiveFailure(frame, _step << RoundBits, ChunksMax));
            }

            var bytes = into.Length * sizeof(float);
            link.Check(frame, FrameKind.Partial, Tag, bytes);
            link.CheckLength(frame, bytes);
            link.ReceivePayload(MemoryMarshal.AsBytes(into));
            return;
        }
    }

    /// <summary>Reads a rank's frames up to where it has left the step that this one abandoned.</summary>
    private void SkipStep(int rank)
    {
        while (true)
        {
            var frame = TakeHeader(rank);
            var step = frame.Step >> RoundBits;
            if (step > _step)
            {
                _pending[rank] = frame;
                return;
            }

            Skip(_links[rank]!, frame);
            if (frame.Kind == FrameKind.StepFailed && step == _step) return;
        }
    }

    private FrameInfo TakeHeader(int rank)
    {
        if (_pending[rank] is not { } pending) return _links[rank]!.ReceiveHeader();
        _pending[rank] = null;
        return pending;
    }

    private void Skip(SocketLink link, FrameInfo frame)
    {
        if (frame.PayloadBytes < 0) throw link.Lost($"it sent a payload of {frame.PayloadBytes} bytes");
        if (_skipped.Length == 0) _skipped = new byte[ChunkFloats * sizeof(float)];
        for (var left = frame.PayloadBytes; left > 0;)
        {
            var part = _skipped.AsSpan(0, Math.Min(left, _skipped.Length));
            link.ReceivePayload(part);
            left -= part.Length;
        }
    }

    private void NextRound()
    {
        _round++;
        Invariant.Holds(_round < 1L << RoundBits, "a step has a bounded number of rounds");
    }

    /// <summary>Adds everyone's partial sums, in place: halves of the tree end up at its left ends.</summary>
    private void AddAll(Span<float> mine)
    {
        for (var step = 1; step < RankCount; step *= 2)
        {
            for (var left = 0; left + step < RankCount; left += 2 * step)
            {
                // The last sum of all goes where the result belongs.
                var into = left == 0 && 2 * step >= RankCount ? mine : Of(left, mine);
                RankSum.Add(Of(left, mine), Of(left + step, mine), into);
            }
        }
    }

    private Span<float> Of(int rank, Span<float> mine) =>
        rank == Rank ? mine : _theirs[rank].AsSpan(0, mine.Length);
}
