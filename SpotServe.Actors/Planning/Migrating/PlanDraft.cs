using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>How an attempt at a plan ended.</summary>
internal abstract record DraftOutcome
{
    private DraftOutcome()
    {
    }

    public sealed record Done(MigrationPlan Plan) : DraftOutcome;

    /// <summary>A device would need more memory than its budget at some moment.</summary>
    public sealed record Stuck(DeviceId Device, long NeedBytes, long BudgetBytes, string Reason) : DraftOutcome;

    /// <summary>KV pages are only on nodes that are gone before they are sent.</summary>
    public sealed record CacheLate(InheritedCache Inherited) : DraftOutcome;
}

/// <summary>
/// The state of a plan being written: steps so far, when links are free, what each target device holds. Emits steps;
/// which and in what order is decided by <see cref="DraftBuilder"/>.
/// </summary>
internal sealed class PlanDraft
{
    private const int HoldersTried = 8;

    private readonly List<MigrationStep> _steps = [];
    private readonly LinkSchedule _links;
    private readonly int[] _nodeOf;
    private readonly List<int> _nodeFirst = [];
    private readonly double[] _deadlineOf;
    private readonly bool[] _diskOf;
    private readonly Dictionary<DeviceId, int> _indexOf;
    private readonly long[] _sent;
    private readonly int[] _lastFree;
    private TransferBytes _moved;

    public PlanDraft(MigrationProblem problem, IReadOnlyList<Holding> holdings)
    {
        Problem = problem;
        Holdings = holdings;
        _indexOf = holdings.Select((holding, i) => (holding.Device, i)).ToDictionary(x => x.Device, x => x.i);
        var nodes = new Dictionary<string, int>(StringComparer.Ordinal);
        _nodeOf = new int[holdings.Count];
        for (var i = 0; i < holdings.Count; i++)
        {
            if (!nodes.TryGetValue(holdings[i].Device.Node, out _nodeOf[i]))
            {
                nodes.Add(holdings[i].Device.Node, _nodeOf[i] = nodes.Count);
                _nodeFirst.Add(i);
            }
        }

        _deadlineOf = [.. holdings.Select(h => problem.Leaving.TryGetValue(h.Device.Node, out var left)
            ? left.TotalSeconds
            : double.PositiveInfinity)];
        _diskOf = [.. holdings.Select(h => problem.LinksFor(h.Device.Node).Disk > 0
            && problem.DiskNodes.Contains(h.Device.Node))];
        _links = new LinkSchedule([.. _nodeFirst.Select(i => problem.LinksFor(holdings[i].Device.Node))]);
        _sent = new long[holdings.Count];
        _lastFree = new int[holdings.Count];
        Array.Fill(_lastFree, -1);
    }

    public MigrationProblem Problem { get; }

    /// <summary>Reported ones, and an empty one for every target device that reported nothing; by node and
    /// device.</summary>
    public IReadOnlyList<Holding> Holdings { get; }

    public IReadOnlyList<MigrationStep> Steps => _steps;

    public TransferBytes Moved => _moved;

    /// <summary>Id of the step that stops the old layout, when everything waits for it; else -1.</summary>
    public int StopId { get; private set; } = -1;

    public int IndexOf(DeviceId device) => _indexOf[device];

    public double FinishOf(int id) => _steps[id].Finish.TotalSeconds;

    /// <summary>The old layout stops before anything moves.</summary>
    public void Stop()
    {
        Invariant.Holds(_steps.Count == 0);
        _steps.Add(new MigrationStep.CutOver(0, [], TimeSpan.Zero, TimeSpan.Zero));
        StopId = 0;
    }

    /// <summary>Copies a part of one layer to a device from whoever has it there first.</summary>
    /// <returns>The step's id.</returns>
    /// <exception cref="SourceLostException">Nobody has it any more.</exception>
    public (int Id, int Source) CopyWeights(int to, TensorGroup group, int layer, MissingPart part)
    {
        var earliest = EarliestAt(to, out var after);
        var slice = new WeightSlice(group, new LayerRange(layer, layer + 1), part.Share);
        var peer = NearestHolder(part, to, earliest, out var peerFinish);
        var storage = Storage(to, part.Bytes, earliest, out var storageFinish);
        if (peer < 0 && storage is null) throw new SourceLostException(slice.ToString(), Holdings[to].Device);
        var id = _steps.Count;
        if (peer < 0 || storageFinish < peerFinish)
        {
            var (start, finish) = _links.TakeStorage(storage!.Value, _nodeOf[to], part.Bytes, earliest);
            Count(storage.Value, within: false, part.Bytes);
            _steps.Add(new MigrationStep.CopyWeights(
                id, after, Time(start), Time(finish), new SliceSource(storage.Value, default), Holdings[to].Device,
                slice, part.Bytes));
            return (id, -1);
        }

        var (begin, end) = _links.TakePeer(_nodeOf[peer], _nodeOf[to], part.Bytes, earliest);
        Count(SourceKind.Peer, _nodeOf[peer] == _nodeOf[to], part.Bytes);
        _sent[peer] += part.Bytes;
        _steps.Add(new MigrationStep.CopyWeights(
            id, after, Time(begin), Time(end), SliceSource.Peer(Holdings[peer].Device), Holdings[to].Device, slice,
            part.Bytes));
        return (id, peer);
    }

    /// <summary>Copies KV pages; null when no holder stays long enough.</summary>
    public (int Id, int Source)? CopyCache(
        CacheMove move, long bytes, bool tail, ImmutableArray<int> after, double earliest)
    {
        var to = IndexOf(Problem.Target.Placement[move.Target]);
        if (_lastFree[to] >= 0)
        {
            after = after.Add(_lastFree[to]);
            earliest = Math.Max(earliest, FinishOf(_lastFree[to]));
        }

        var (best, bestFinish) = (-1, double.PositiveInfinity);
        foreach (var holder in move.Holders)
        {
            if (holder == to) continue;
            var finish = _links.PeerFinish(_nodeOf[holder], _nodeOf[to], bytes, earliest);
            if (finish > _deadlineOf[holder]) continue;
            if (best < 0 || finish < bestFinish || (finish == bestFinish && _sent[holder] < _sent[best]))
            {
                (best, bestFinish) = (holder, finish);
            }
        }

        if (best < 0) return null;
        var (start, end) = _links.TakePeer(_nodeOf[best], _nodeOf[to], bytes, earliest);
        Count(SourceKind.Peer, _nodeOf[best] == _nodeOf[to], bytes);
        _sent[best] += bytes;
        _steps.Add(new MigrationStep.CopyCache(
            _steps.Count, after, Time(start), Time(end), Holdings[best].Device, Holdings[to].Device, move.Slice,
            move.Inherited.NewReplica, move.Inherited.Requests, tail, bytes));
        return (_steps.Count - 1, best);
    }

    /// <summary>Frees weights once their readers are done. Frees of a device follow one another, so that whatever waits
    /// for the last one waits for all.</summary>
    public void FreeWeights(int device, WeightSlice slice, IEnumerable<int> readers, bool early)
    {
        var (id, after, at) = BeginFree(device, readers);
        _steps.Add(new MigrationStep.FreeWeights(
            id, after, Time(at), Time(at), Holdings[device].Device, slice, Problem.Geometry.Bytes(slice), early));
    }

    public void FreeCache(int device, CacheSlice slice, long bytes, IEnumerable<int> readers, bool early)
    {
        var (id, after, at) = BeginFree(device, readers);
        _steps.Add(new MigrationStep.FreeCache(
            id, after, Time(at), Time(at), Holdings[device].Device, slice, bytes, early));
    }

    /// <summary>Adds a step that takes no link: it happens when what it waits for is done.</summary>
    public int Mark(IEnumerable<int> after, Func<int, ImmutableArray<int>, TimeSpan, MigrationStep> make)
    {
        ImmutableArray<int> ids = [.. after];
        if (ids.IsEmpty && StopId >= 0) ids = [StopId];
        var at = ids.IsEmpty ? TimeSpan.Zero : ids.Max(id => _steps[id].Finish);
        _steps.Add(make(_steps.Count, ids, at));
        return _steps.Count - 1;
    }

    public static TimeSpan Time(double seconds) =>
        TimeSpan.FromTicks((long)Math.Round(seconds * TimeSpan.TicksPerSecond));

    private (int Id, ImmutableArray<int> After, double At) BeginFree(int device, IEnumerable<int> readers)
    {
        var after = new SortedSet<int>(readers);
        if (_lastFree[device] >= 0) after.Add(_lastFree[device]);
        if (after.Count == 0 && StopId >= 0) after.Add(StopId);
        var at = after.Count == 0 ? 0 : after.Max(FinishOf);
        _lastFree[device] = _steps.Count;
        return (_steps.Count, [.. after], at);
    }

    private double EarliestAt(int to, out ImmutableArray<int> after)
    {
        var wait = _lastFree[to] >= 0 ? _lastFree[to] : StopId;
        after = wait >= 0 ? [wait] : [];
        return wait >= 0 ? FinishOf(wait) : 0;
    }

    /// <summary>The holder that could deliver first: a few in turn, so that equal ones share the load; all of them if
    /// those few leave too early.</summary>
    private int NearestHolder(MissingPart part, int to, double earliest, out double finish)
    {
        var count = part.Holders.Length;
        (var best, finish) = (-1, double.PositiveInfinity);
        // Holdings lie in order of node and device: holders on the destination's own node are neighbours of its index.
        var near = Array.BinarySearch(part.Holders, _nodeFirst[_nodeOf[to]]);
        for (near = near < 0 ? ~near : near; near < count && _nodeOf[part.Holders[near]] == _nodeOf[to]; near++)
        {
            var holder = part.Holders[near];
            var at = _links.PeerFinish(_nodeOf[holder], _nodeOf[to], part.Bytes, earliest);
            if (at <= _deadlineOf[holder] && holder != to && at < finish) (best, finish) = (holder, at);
        }

        for (var tried = 0; tried < count && (tried < HoldersTried || best < 0); tried++)
        {
            var holder = part.Holders[(part.Next + tried) % count];
            var at = _links.PeerFinish(_nodeOf[holder], _nodeOf[to], part.Bytes, earliest);
            if (at > _deadlineOf[holder] || holder == to) continue;
            if (best < 0 || at < finish || (at == finish && Prefer(holder, best, to))) (best, finish) = (holder, at);
        }

        if (count > 0) part.Next = (part.Next + 1) % count;
        return best;
    }

    private bool Prefer(int holder, int other, int to)
    {
        var (near, nearOther) = (_nodeOf[holder] == _nodeOf[to], _nodeOf[other] == _nodeOf[to]);
        return near != nearOther ? near : _sent[holder] < _sent[other];
    }

    private SourceKind? Storage(int to, long bytes, double earliest, out double finish)
    {
        var disk = _diskOf[to]
            ? _links.StorageFinish(SourceKind.Disk, _nodeOf[to], bytes, earliest)
            : double.PositiveInfinity;
        var store = Problem.LinksFor(Holdings[to].Device.Node).Store > 0
            ? _links.StorageFinish(SourceKind.Store, _nodeOf[to], bytes, earliest)
            : double.PositiveInfinity;
        finish = Math.Min(disk, store);
        if (double.IsInfinity(finish)) return null;
        return disk <= store ? SourceKind.Disk : SourceKind.Store;
    }

    private void Count(SourceKind source, bool within, long bytes) => _moved = source switch
    {
        SourceKind.Peer when within => _moved with { IntraNode = _moved.IntraNode + bytes },
        SourceKind.Peer => _moved with { InterNode = _moved.InterNode + bytes },
        SourceKind.Disk => _moved with { Disk = _moved.Disk + bytes },
        SourceKind.Store => _moved with { Store = _moved.Store + bytes },
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
