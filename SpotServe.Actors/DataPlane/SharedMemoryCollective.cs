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
/// The ranks of a stage whose threads share a process. They publish where their values lie, meet, and each adds one
/// slice over all ranks and writes the sum back to all of them: no copies, two meetings.
/// </summary>
public sealed unsafe class SharedMemoryGroup : IDisposable
{
    /// <summary>Rounds of spinning before a rank sleeps, about 2 microseconds: processes may outnumber cores, and a
    /// rank that spins longer takes the time of the one it waits for.</summary>
    private static readonly int SpinsMax = Environment.ProcessorCount == 1 ? 0 : 50;

    private readonly object _gate = new();
    private readonly float*[] _values;
    private readonly int[] _lengths;
    private int _arrived;
    private long _meeting;
    private int? _leftRank;

    public SharedMemoryGroup(int rankCount)
    {
        Invariant.Holds(rankCount >= 1);
        RankCount = rankCount;
        _values = new float*[rankCount];
        _lengths = new int[rankCount];
    }

    public int RankCount { get; }

    /// <summary>The collective of one rank; each rank joins once.</summary>
    public SharedMemoryCollective Join(int rank)
    {
        Invariant.Holds(rank >= 0 && rank < RankCount);
        return new SharedMemoryCollective(this, rank);
    }

    public void Dispose() => Leave(0);

    internal void AllReduceSum(int rank, Span<float> values)
    {
        fixed (float* mine = values)
        {
            Publish(rank, mine, values.Length);
            AddSlice((int)((long)values.Length * rank / RankCount), (int)((long)values.Length * (rank + 1) / RankCount));
            MeetToPart();
        }
    }

    internal void GatherToFirst(int rank, ReadOnlySpan<float> mine, Span<float> all)
    {
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

    internal void Leave(int rank)
    {
        lock (_gate)
        {
            _leftRank ??= rank;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Shows the others where the values lie and waits for theirs.</summary>
    private void Publish(int rank, float* values, int length)
    {
        _values[rank] = values;
        _lengths[rank] = length;
        Meet(canBeLeft: true);
        // All ranks see the same lengths, so either all throw here or none does.
        for (var other = 0; other < RankCount; other++)
        {
            if (_lengths[other] != length)
            {
                throw new PeerLostException(
                    $"rank {other} of this process", $"it came with {_lengths[other]} values, rank {rank} with {length}");
            }
        }
    }

    /// <summary>Waits until nobody uses this rank's memory any more. Between the two meetings ranks only compute, so
    /// all of them come; heeding a departure here would free memory under another rank's hands.</summary>
    private void MeetToPart() => Meet(canBeLeft: false);

    private void Meet(bool canBeLeft)
    {
        long meeting;
        lock (_gate)
        {
            if (canBeLeft && _leftRank is { } left) throw Left(left);
            meeting = _meeting;
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
                if (canBeLeft && _leftRank is { } left) throw Left(left);
                Monitor.Wait(_gate);
            }
        }
    }

    private static PeerLostException Left(int rank) =>
        new($"rank {rank} of this process", "it left the stage's collective");

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
