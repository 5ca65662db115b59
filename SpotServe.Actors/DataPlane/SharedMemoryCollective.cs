using System.Numerics;
using System.Runtime.CompilerServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>The collective of one rank among others of the same process. See <see cref="SharedMemoryGroup"/>.</summary>
public sealed class SharedMemoryCollective : ICollective
{
    private readonly SharedMemoryGroup _group;

    internal SharedMemoryCollective(SharedMemoryGroup group, int rank)
    {
        _group = group;
        Rank = rank;
    }

    public int Rank { get; }

    public int RankCount => _group.RankCount;

    public void AllReduceSum(Span<float> values)
    {
        if (values.Length > 0) _group.AllReduceSum(Rank, values);
    }

    public void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all)
    {
        Invariant.Holds(Rank != 0 || all.Length == mine.Length * RankCount);
        if (mine.Length > 0) _group.GatherToFirst(Rank, mine, all);
    }

    /// <summary>Leaves the group; ranks that wait for this one get a <see cref="PeerLostException"/>.</summary>
    public void Dispose() => _group.Leave(Rank);
}

/// <summary>
/// The ranks of a stage whose threads share a process. Short vectors are copied to where all can read them, the ranks
/// meet once, and each adds all up. For long ones they publish where their values lie, meet, each adds one slice over
/// all ranks and writes the sum back to all of them, and they meet again: no copies. Both add in rank order.
/// </summary>
public sealed unsafe class SharedMemoryGroup : IDisposable
{
    /// <summary>Rounds of spinning before a rank sleeps, about 2 microseconds: processes may outnumber cores, and a
    /// rank that spins longer takes the time of the one it waits for.</summary>
    private static readonly int SpinsMax = Environment.ProcessorCount == 1 ? 0 : 50;

    /// <summary>Longest vector that is copied: a second meeting costs more than adding this many M times.</summary>
    public const int CopiedFloatsMax = 8 * 1024;

    private readonly object _gate = new();

    /// <summary>Copies by turn and rank. Two turns: who is ahead by one writes where nobody reads any more, because
    /// all have met since.</summary>
    private readonly float[][][] _copies;
    private readonly int[] _turns;
    private readonly float*[] _values;
    private int _arrived;
    private long _meeting;
    private int _length;
    private (string Peer, string Reason)? _ended;

    public SharedMemoryGroup(int rankCount)
    {
        Invariant.Holds(rankCount >= 1);
        RankCount = rankCount;
        _copies = [.. Enumerable.Range(0, 2).Select(_ =>
            Enumerable.Range(0, rankCount).Select(_ => new float[CopiedFloatsMax]).ToArray())];
        _turns = new int[rankCount];
        _values = new float*[rankCount];
    }

    public int RankCount { get; }

    /// <summary>The collective of one rank; each rank joins once.</summary>
    public SharedMemoryCollective Join(int rank)
    {
        Invariant.Holds(rank >= 0 && rank < RankCount);
        return new SharedMemoryCollective(this, rank);
    }

    /// <summary>Releases all ranks.</summary>
    public void Dispose() => End("the stage's collective", "it was closed");

    internal void AllReduceSum(int rank, Span<float> values)
    {
        if (values.Length <= CopiedFloatsMax)
        {
            var copies = Copy(rank, values);
            copies[0].AsSpan(0, values.Length).CopyTo(values);
            for (var from = 1; from < RankCount; from++)
            {
                RankSum.Add(values, copies[from].AsSpan(0, values.Length), into: values);
            }

            return;
        }

        fixed (float* mine = values)
        {
            Publish(rank, mine, values.Length);
            var length = (long)values.Length;
            AddSlice((int)(length * rank / RankCount), (int)(length * (rank + 1) / RankCount));
            MeetToPart();
        }
    }

    internal void GatherToFirst(int rank, ReadOnlySpan<float> mine, Span<float> all)
    {
        if (mine.Length <= CopiedFloatsMax)
        {
            var copies = Copy(rank, mine);
            for (var from = 0; rank == 0 && from < RankCount; from++)
            {
                copies[from].AsSpan(0, mine.Length).CopyTo(all[(from * mine.Length)..]);
            }

            return;
        }

        fixed (float* pinned = mine)
        {
            Publish(rank, pinned, mine.Length);
            for (var from = 0; rank == 0 && from < RankCount; from++)
            {
                new ReadOnlySpan<float>(_values[from], mine.Length).CopyTo(all[(from * mine.Length)..]);
            }

            MeetToPart();
        }
    }

    internal void Leave(int rank) => End($"rank {rank} of this process", "it left the stage's collective");

    private void End(string peer, string reason)
    {
        lock (_gate)
        {
            _ended ??= (peer, reason);
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Gives the others a copy and waits for theirs.</summary>
    private float[][] Copy(int rank, ReadOnlySpan<float> values)
    {
        var copies = _copies[_turns[rank]];
        _turns[rank] ^= 1;
        values.CopyTo(copies[rank]);
        Meet(values.Length, canEnd: true);
        return copies;
    }

    /// <summary>Shows the others where the values lie and waits for theirs.</summary>
    private void Publish(int rank, float* values, int length)
    {
        _values[rank] = values;
        Meet(length, canEnd: true);
    }

    /// <summary>Waits until nobody uses this rank's memory any more. Between the two meetings ranks only compute, so
    /// all of them come; heeding a departure here would free memory under another rank's hands.</summary>
    private void MeetToPart() => Meet(length: 0, canEnd: false);

    /// <summary>Waits for all ranks to come with as many values. It happens for all of them or for none.</summary>
    private void Meet(int length, bool canEnd)
    {
        long meeting;
        lock (_gate)
        {
            if (canEnd && _ended is not null) throw Lost();
            meeting = _meeting;
            if (_arrived == 0) _length = length;
            if (_length != length)
            {
                End("a rank of this process", $"it came with {_length} values, another with {length}");
                throw Lost();
            }

            if (++_arrived == RankCount)
            {
                _arrived = 0;
                Volatile.Write(ref _meeting, meeting + 1);
                Monitor.PulseAll(_gate);
                return;
            }
        }

        for (var spin = 0; spin < SpinsMax; spin++)
        {
            if (Volatile.Read(ref _meeting) != meeting) return;
            Thread.SpinWait(10);
        }

        lock (_gate)
        {
            while (_meeting == meeting)
            {
                if (canEnd && _ended is not null) throw Lost();
                Monitor.Wait(_gate);
            }
        }
    }

    private PeerLostException Lost() => new(_ended!.Value.Peer, _ended.Value.Reason);

    /// <summary>Adds elements [from, end) over the ranks, in rank order, and gives every rank the sum.</summary>
    private void AddSlice(int from, int end)
    {
        var i = from;
        for (; i <= end - Vector<float>.Count; i += Vector<float>.Count)
        {
            var sum = Unsafe.ReadUnaligned<Vector<float>>(_values[0] + i);
            for (var rank = 1; rank < RankCount; rank++)
            {
                sum += Unsafe.ReadUnaligned<Vector<float>>(_values[rank] + i);
            }

            for (var rank = 0; rank < RankCount; rank++) Unsafe.WriteUnaligned(_values[rank] + i, sum);
        }

        for (; i < end; i++)
        {
            var sum = _values[0][i];
            for (var rank = 1; rank < RankCount; rank++) sum += _values[rank][i];
            for (var rank = 0; rank < RankCount; rank++) _values[rank][i] = sum;
        }
    }
}
