using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>The collective of one rank among others of the same process. See <see cref="SharedMemoryGroup"/>.</summary>
public sealed class SharedMemoryCollective : ICollective
{
    private readonly SharedMemoryGroup _group;
    private long _step;

    internal SharedMemoryCollective(SharedMemoryGroup group, int rank)
    {
        _group = group;
        Rank = rank;
    }

    public int Rank { get; }

    public int RankCount => _group.RankCount;

    public void BeginStep(long step)
    {
        Invariant.Holds(step > _step);
        _step = step;
    }

    public void Abandon(StepFailure failure) => _group.Abandon(_step, failure);

    public void AllReduceSum(Span<float> values)
    {
        if (values.Length > 0) _group.AllReduceSum(Rank, _step, values);
    }

    public void GatherToFirst(ReadOnlySpan<float> mine, Span<float> all)
    {
        Invariant.Holds(Rank != 0 || all.Length == mine.Length * RankCount);
        if (mine.Length > 0) _group.GatherToFirst(Rank, _step, mine, all);
    }

    public IReadOnlyList<IRankDevice>? Introduce(IRankDevice mine) => _group.Introduce(Rank, _step, mine);

    public void ThrowIfOver() => _group.ThrowIfStepIsOver(_step);

    /// <summary>Leaves the group; ranks that wait for this one get a <see cref="PeerLostException"/>.</summary>
    public void Dispose() => _group.Leave(Rank);
}

/// <summary>
/// The ranks of a stage whose threads share a process. Short vectors are copied to where all can read them, the ranks
/// meet once, and each adds all up. For long ones they publish where their values lie, meet, each adds one slice over
/// all ranks and writes the sum back to all of them, and they meet again: no copies. Both add as <see
/// cref="RankSum"/> does.
/// </summary>
public sealed unsafe class SharedMemoryGroup : IDisposable
{
    /// <summary>Rounds of spinning before a rank sleeps, about 2 microseconds: processes may outnumber cores, and a
    /// rank that spins longer takes the time of the one it waits for.</summary>
    private static readonly int SpinsMax = Environment.ProcessorCount == 1 ? 0 : 50;

    /// <summary>Longest vector that is copied: a second meeting costs more than adding this many M times.</summary>
    public const int CopiedFloatsMax = 8 * 1024;

    /// <summary>What a meeting has in place of a number of values where ranks show their devices.</summary>
    private const int Introduction = -1;

    /// <summary>Failures of the latest steps that are kept: more than a rank can lag behind.</summary>
    private const int FailuresKept = 64;

    private readonly object _gate = new();

    /// <summary>By step, modulo their number: each is given to the ranks of that very step, whose chunks it
    /// names.</summary>
    private readonly (long Step, StepFailure? Failure)[] _failures = new (long, StepFailure?)[FailuresKept];

    /// <summary>Copies by turn and rank. Two turns: who is ahead by one writes where nobody reads any more, because
    /// all have met since. The turn is the number of the meeting, so that ranks agree on it also after a step that some
    /// of them abandoned earlier than others.</summary>
    private readonly float[][][] _copies;
    private readonly float*[] _values;
    private readonly IRankDevice?[] _devices;
    private int _arrived;
    private long _meeting;
    private int _length;
    private long _meetingStep;
    private long _abandonedStep;
    private (string Peer, string Reason)? _ended;

    public SharedMemoryGroup(int rankCount)
    {
        Invariant.Holds(rankCount >= 1);
        RankCount = rankCount;
        _copies = [.. Enumerable.Range(0, 2).Select(_ =>
            Enumerable.Range(0, rankCount)
                .Select(_ => GC.AllocateUninitializedArray<float>(CopiedFloatsMax, pinned: true)).ToArray())];
        _values = new float*[rankCount];
        _devices = new IRankDevice?[rankCount];
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

    internal void AllReduceSum(int rank, long step, Span<float> values)
    {
        if (values.Length <= CopiedFloatsMax)
        {
            Add(Copy(rank, step, values), values);
            return;
        }

        fixed (float* mine = values)
        {
            Publish(rank, step, mine, values.Length);
            var length = (long)values.Length;
            AddSlice((int)(length * rank / RankCount), (int)(length * (rank + 1) / RankCount));
            MeetToPart(step);
        }
    }

    internal void GatherToFirst(int rank, long step, ReadOnlySpan<float> mine, Span<float> all)
    {
        if (mine.Length <= CopiedFloatsMax)
        {
            var copies = Copy(rank, step, mine);
            for (var from = 0; rank == 0 && from < RankCount; from++)
            {
                copies[from].AsSpan(0, mine.Length).CopyTo(all[(from * mine.Length)..]);
            }

            return;
        }

        fixed (float* pinned = mine)
        {
            Publish(rank, step, pinned, mine.Length);
            for (var from = 0; rank == 0 && from < RankCount; from++)
            {
                new ReadOnlySpan<float>(_values[from], mine.Length).CopyTo(all[(from * mine.Length)..]);
            }

            MeetToPart(step);
        }
    }

    internal IReadOnlyList<IRankDevice> Introduce(int rank, long step, IRankDevice mine)
    {
        lock (_gate) _devices[rank] = mine;
        Meet(step, Introduction, canEnd: true);
        lock (_gate) return [.. _devices.Select(device => device!)];
    }

    internal void ThrowIfStepIsOver(long step)
    {
        lock (_gate) ThrowIfEnded(step);
    }

    /// <summary>A rank takes no further part in a step: those that wait for it, or come later, fail, too.</summary>
    internal void Abandon(long step, StepFailure failure)
    {
        lock (_gate)
        {
            ref var known = ref _failures[step % FailuresKept];
            if (known.Failure is not null && known.Step >= step) return;
            known = (step, failure);
            _abandonedStep = Math.Max(_abandonedStep, step);
            // Ranks that have come to a meeting of this step leave it; one of the next step has begun without them.
            if (_meetingStep == step) _arrived = 0;
            Monitor.PulseAll(_gate);
            foreach (var device in _devices) device?.Abandoned(step);
        }
    }

    internal void Leave(int rank) => End($"rank {rank} of this process", "it left the stage's collective");

    private void End(string peer, string reason)
    {
        lock (_gate)
        {
            _ended ??= (peer, reason);
            Monitor.PulseAll(_gate);
            foreach (var device in _devices) device?.Ended();
        }
    }

    /// <summary>Gives the others a copy and waits for theirs.</summary>
    private float[][] Copy(int rank, long step, ReadOnlySpan<float> values)
    {
        var copies = _copies[Volatile.Read(ref _meeting) & 1];
        values.CopyTo(copies[rank]);
        Meet(step, values.Length, canEnd: true);
        return copies;
    }

    /// <summary>Shows the others where the values lie and waits for theirs.</summary>
    private void Publish(int rank, long step, float* values, int length)
    {
        _values[rank] = values;
        Meet(step, length, canEnd: true);
    }

    /// <summary>Waits until nobody uses this rank's memory any more. Between the two meetings ranks only compute, so
    /// all of them come; heeding a departure here would free memory under another rank's hands.</summary>
    private void MeetToPart(long step) => Meet(step, length: 0, canEnd: false);

    /// <summary>Waits for all ranks to come with as many values. It happens for all of them or for none.</summary>
    private void Meet(long step, int length, bool canEnd)
    {
        long meeting;
        lock (_gate)
        {
            if (canEnd) ThrowIfOver(step);
            meeting = _meeting;
            if (_arrived == 0) (_length, _meetingStep) = (length, step);
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
                if (canEnd) ThrowIfOver(step);
                Monitor.Wait(_gate);
            }
        }
    }

    private void ThrowIfOver(long step)
    {
        ThrowIfEnded(step);
        Invariant.Holds(_abandonedStep <= step, "a rank hears of a step's failure before it is forgotten");
    }

    private void ThrowIfEnded(long step)
    {
        if (_ended is not null) throw Lost();
        var (failed, failure) = _failures[step % FailuresKept];
        if (failure is not null && failed == step) throw new StepFailedException(failure);
    }

    private PeerLostException Lost() => new(_ended!.Value.Peer, _ended.Value.Reason);

    /// <summary>Adds copies of all ranks.</summary>
    private void Add(float[][] copies, Span<float> into)
    {
        // Pinned for the life of the group, so their addresses hold.
        var starts = stackalloc float*[RankCount];
        for (var rank = 0; rank < RankCount; rank++)
            starts[rank] = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(copies[rank]));
        var sums = MemoryMarshal.Cast<float, Vector<float>>(into);
        for (var i = 0; i < sums.Length; i++) sums[i] = RankSum.VectorAt(starts, RankCount, i * Vector<float>.Count);
        for (var i = sums.Length * Vector<float>.Count; i < into.Length; i++)
            into[i] = RankSum.NumberAt(starts, RankCount, i);
    }

    /// <summary>Adds elements [from, end) over the ranks and gives every rank the sum.</summary>
    private void AddSlice(int from, int end)
    {
        fixed (float** values = _values)
        {
            var i = from;
            for (; i <= end - Vector<float>.Count; i += Vector<float>.Count)
            {
                var sum = RankSum.VectorAt(values, RankCount, i);
                for (var rank = 0; rank < RankCount; rank++) Unsafe.WriteUnaligned(values[rank] + i, sum);
            }

            for (; i < end; i++)
            {
                var sum = RankSum.NumberAt(values, RankCount, i);
                for (var rank = 0; rank < RankCount; rank++) values[rank][i] = sum;
            }
        }
    }
}
