using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>What each position of the target lacks, has and need not keep: the plan's facts before any step is
/// chosen.</summary>
internal sealed class MigrationScene
{
    private readonly MigrationProblem _problem;
    private readonly Dictionary<int, long> _tokensOf;
    private readonly Dictionary<(int Old, int New), long> _tokensKept;

    /// <param name="inherited">Caches that are to move or stay; the problem's, or fewer.</param>
    /// <param name="shed">Devices (by holding index) that give up at once whatever their position does not
    /// need.</param>
    public MigrationScene(
        MigrationProblem problem,
        ImmutableArray<InheritedCache> inherited,
        Func<MigrationScene, HashSet<int>>? shed = null)
    {
        _problem = problem;
        Inherited = inherited;
        _tokensOf = inherited.GroupBy(c => c.OldReplica).ToDictionary(g => g.Key, g => g.Sum(c => c.PageTokens));
        _tokensKept = inherited.GroupBy(c => (c.OldReplica, c.NewReplica))
            .ToDictionary(g => g.Key, g => g.Sum(c => c.PageTokens));
        foreach (var cache in problem.Caches) _tokensOf[cache.Replica] = cache.PageTokens;
        Holdings = Complete(problem);
        Survey();
        StartBytes = HeldBytes;
        if (shed is null) return;
        Shed = shed(this);
        var before = Holdings;
        Holdings = [.. Holdings.Select((holding, i) => Shed.Contains(i) ? Trimmed(holding, i) : holding)];
        Survey();
        Discarded = [.. before];
    }

    public ImmutableArray<InheritedCache> Inherited { get; }

    public List<Holding> Holdings { get; private set; }

    /// <summary>Holdings as they were before some were shed; empty when none was.</summary>
    public IReadOnlyList<Holding> Discarded { get; } = [];

    public HashSet<int> Shed { get; } = [];

    /// <summary>Per position, the index of its device's holding.</summary>
    public int[] DeviceOf { get; private set; } = [];

    /// <summary>Per holding, its position, or -1.</summary>
    public int[] PositionOf { get; private set; } = [];

    /// <summary>Per position, the weights that it needs.</summary>
    public WeightSlice[][] Need { get; private set; } = [];

    /// <summary>Per position, what of them is not there.</summary>
    public WeightSlice[][] Missing { get; private set; } = [];

    /// <summary>Per holding, weights that its position (if any) does not need.</summary>
    public WeightSlice[][] Surplus { get; private set; } = [];

    public List<CacheMove> CacheMoves { get; private set; } = [];

    /// <summary>Per position, bytes of weights and pages on the device now.</summary>
    public long[] HeldBytes { get; private set; } = [];

    /// <summary>Per position, bytes on the device before any was shed.</summary>
    public long[] StartBytes { get; }

    /// <summary>Per position, bytes of weights that arrive.</summary>
    public long[] MissingBytes { get; private set; } = [];

    /// <summary>Per position, bytes of pages that arrive.</summary>
    public long[] CacheBytes { get; private set; } = [];

    /// <summary>Per position, bytes that its device holds when all is done.</summary>
    public long[] FinalBytes { get; private set; } = [];

    /// <summary>Bytes of a cache slice's pages that the device's position does not keep.</summary>
    public long CacheSurplus(int holding, CacheSlice slice) =>
        SliceBytes(slice) - KeptBytes(holding, slice);

    /// <summary>Positions whose device cannot hold old and new side by side.</summary>
    public List<int> Pressed() =>
        [.. Enumerable.Range(0, DeviceOf.Length).Where(i =>
            HeldBytes[i] + MissingBytes[i] + CacheBytes[i] > _problem.BudgetFor(_problem.Target.Placement[i]))];

    /// <summary>Bytes of a move's pages, tail included.</summary>
    public long MoveBytes(CacheMove move) => MoveBytes(move, move.Inherited.PageTokens);

    public long MoveBytes(CacheMove move, long tokens) =>
        _problem.Geometry.KvBytes(tokens, move.Slice.Layers.Count, move.Slice.KvEnd - move.Slice.KvFirst);

    private void Survey()
    {
        var (geometry, target) = (_problem.Geometry, _problem.Target);
        var indexOf = Holdings.Select((holding, i) => (holding.Device, i)).ToDictionary(x => x.Device, x => x.i);
        var count = target.Placement.Length;
        DeviceOf = [.. target.Placement.Select(device => indexOf[device])];
        PositionOf = new int[Holdings.Count];
        Array.Fill(PositionOf, -1);
        for (var i = 0; i < count; i++) PositionOf[DeviceOf[i]] = i;
        Need = new WeightSlice[count][];
        Missing = new WeightSlice[count][];
        (HeldBytes, MissingBytes) = (new long[count], new long[count]);
        (CacheBytes, FinalBytes) = (new long[count], new long[count]);
        for (var i = 0; i < count; i++)
        {
            Need[i] = [.. geometry.Need(PositionNeed.Of(target, target.PositionAt(i)))];
            Missing[i] = [.. HoldingDiff.Missing(Need[i], Holdings[DeviceOf[i]].Weights)];
            MissingBytes[i] = Missing[i].Sum(geometry.Bytes);
        }

        Surplus = [.. Holdings.Select((holding, i) =>
            HoldingDiff.Surplus(holding.Weights, PositionOf[i] < 0 ? [] : Need[PositionOf[i]]).ToArray())];
        CacheMoves = Planning.CacheMoves.Of(geometry, target, Inherited, Holdings);
        foreach (var move in CacheMoves) CacheBytes[move.Target] += MoveBytes(move);
        for (var i = 0; i < count; i++)
        {
            var holding = DeviceOf[i];
            var need = Need[i].Sum(geometry.Bytes);
            var caches = Holdings[holding].Caches;
            HeldBytes[i] = need - MissingBytes[i] + Surplus[holding].Sum(geometry.Bytes) + caches.Sum(SliceBytes);
            FinalBytes[i] = need + CacheBytes[i] + caches.Sum(slice => KeptBytes(holding, slice));
        }
    }

    private long SliceBytes(CacheSlice slice) => _problem.Geometry.KvBytes(
        _tokensOf.GetValueOrDefault(slice.Replica), slice.Layers.Count, slice.KvEnd - slice.KvFirst);

    private long KeptBytes(int holding, CacheSlice slice)
    {
        if (PositionOf[holding] < 0) return 0;
        var position = _problem.Target.PositionAt(PositionOf[holding]);
        var need = PositionNeed.Of(_problem.Target, position);
        var heads = TensorSlices.KvHeads(_problem.Geometry.Model, need.Rank, need.Ranks);
        var common = Math.Min(heads.End, slice.KvEnd) - Math.Max(heads.First, slice.KvFirst);
        if (common <= 0) return 0;
        var tokens = _tokensKept.GetValueOrDefault((slice.Replica, position.Replica));
        return _problem.Geometry.KvBytes(tokens, need.Layers.Intersect(slice.Layers).Count, (int)common);
    }

    private Holding Trimmed(Holding holding, int index)
    {
        var need = PositionOf[index] < 0 ? [] : Need[PositionOf[index]];
        var kept = HoldingDiff.Surplus(holding.Weights, [.. HoldingDiff.Surplus(holding.Weights, need)]);
        return holding with
        {
            Weights = [.. kept],
            Caches = [.. holding.Caches.Where(slice => CacheSurplus(index, slice) < SliceBytes(slice))],
        };
    }

    /// <summary>The reported holdings and an empty one for each device that is new, in order of node and
    /// index.</summary>
    private static List<Holding> Complete(MigrationProblem problem)
    {
        var known = problem.Holdings.Select(holding => holding.Device).ToHashSet();
        return
        [
            .. problem.Holdings
                .Concat(problem.Target.Placement.Where(device => !known.Contains(device)).Select(Holding.Empty))
                .OrderBy(holding => holding.Device.Node, StringComparer.Ordinal)
                .ThenBy(holding => holding.Device.Index),
        ];
    }
}
