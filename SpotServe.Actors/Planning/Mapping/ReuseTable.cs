using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// The mapper's edge weights without a matrix: devices that hold the same weights are one class and positions that need
/// the same weights are another, so weights are a small table of classes; KV pages count only between a device and the
/// replica that inherits its requests. At a thousand devices the classes are tens.
/// </summary>
internal sealed class ReuseTable
{
    private readonly SliceGeometry _geometry;
    private readonly long[,] _weightBytes;
    private readonly PositionNeed[] _needs;
    private readonly ImmutableArray<CacheSlice>[] _caches;
    private readonly Dictionary<int, List<(int NewReplica, long Tokens)>> _heirs;
    private readonly LayoutDegrees _degrees;
    private readonly int[] _home;

    public ReuseTable(MappingProblem problem, IReadOnlyList<DeviceId> devices)
    {
        _geometry = problem.Geometry;
        _degrees = problem.Degrees;
        var byDevice = new Dictionary<DeviceId, Holding>();
        foreach (var holding in problem.Holdings)
        {
            if (!byDevice.TryAdd(holding.Device, holding))
            {
                throw new DuplicateIdException("device", holding.Device.ToString());
            }
        }

        var holdings = devices.Select(device => byDevice.GetValueOrDefault(device) ?? Holding.Empty(device)).ToArray();
        _caches = [.. holdings.Select(holding => holding.Caches)];
        DeviceClass = Classify(holdings, out var classes);
        PositionClass = Classify(problem, out _needs);
        _weightBytes = new long[classes.Count, _needs.Length];
        for (var c = 0; c < classes.Count; c++)
        {
            for (var n = 0; n < _needs.Length; n++) _weightBytes[c, n] = _geometry.ReuseBytes(_needs[n], classes[c]);
        }

        _heirs = problem.Inherited.Kept.GroupBy(cache => cache.OldReplica).ToDictionary(
            group => group.Key, group => group.Select(cache => (cache.NewReplica, cache.PageTokens)).ToList());
        _home = Homes(problem, devices);
        (Unit, BytesMax) = Measure();
    }

    /// <summary>Every entry is a multiple of this many bytes, at least 1.</summary>
    public long Unit { get; }

    /// <summary>No entry is larger.</summary>
    public long BytesMax { get; }

    /// <summary>Class of each device's weights; equal numbers hold the same.</summary>
    public int[] DeviceClass { get; }

    /// <summary>Class of each position's need; equal numbers need the same.</summary>
    public int[] PositionClass { get; }

    /// <summary>Position that a device has now and that goes on unchanged, or -1.</summary>
    public int Home(int device) => _home[device];

    /// <summary>Bytes of weights that the device has of what the position needs.</summary>
    public long Weights(int device, int position) => _weightBytes[DeviceClass[device], PositionClass[position]];

    /// <summary>New replicas for which the device has KV pages.</summary>
    public IEnumerable<int> HeirsOf(int device) => _caches[device]
        .SelectMany(cache => _heirs.TryGetValue(cache.Replica, out var heirs) ? heirs : [])
        .Select(heir => heir.NewReplica);

    /// <summary>Bytes of weights and KV pages that the device has of what the position needs.</summary>
    public long Bytes(int device, int position)
    {
        var bytes = Weights(device, position);
        foreach (var cache in _caches[device])
        {
            if (!_heirs.TryGetValue(cache.Replica, out var heirs)) continue;
            foreach (var (replica, tokens) in heirs)
            {
                if (replica == position / (_degrees.Stages * _degrees.Ranks)) bytes += KvBytes(cache, position, tokens);
            }
        }

        return bytes;
    }

    private (long Unit, long BytesMax) Measure()
    {
        var tokens = _heirs.Values.Sum(heirs => heirs.Sum(heir => heir.Tokens));
        var unit = tokens > 0 ? _geometry.KvBytes(1, 1, 1) : 0;
        var most = 0L;
        foreach (var bytes in _weightBytes)
        {
            most = Math.Max(most, bytes);
            unit = (long)System.Numerics.BigInteger.GreatestCommonDivisor(unit, bytes);
        }

        var model = _geometry.Model;
        return (Math.Max(1, unit), most + _geometry.KvBytes(tokens, model.LayerCount, model.KvHeadCount));
    }

    private long KvBytes(CacheSlice cache, int position, long tokens)
    {
        var need = _needs[PositionClass[position]];
        var heads = TensorSlices.KvHeads(_geometry.Model, need.Rank, need.Ranks);
        var common = Math.Min(heads.End, cache.KvEnd) - Math.Max(heads.First, cache.KvFirst);
        var layers = need.Layers.Intersect(cache.Layers).Count;
        return common <= 0 ? 0 : _geometry.KvBytes(tokens, layers, (int)common);
    }

    private static int[] Classify(Holding[] holdings, out List<ImmutableArray<WeightSlice>> classes)
    {
        var known = new Dictionary<ImmutableArray<WeightSlice>, int>(SliceListComparer.Instance);
        var result = new int[holdings.Length];
        classes = [];
        for (var i = 0; i < holdings.Length; i++)
        {
            if (!known.TryGetValue(holdings[i].Weights, out result[i]))
            {
                known.Add(holdings[i].Weights, result[i] = classes.Count);
                classes.Add(holdings[i].Weights);
            }
        }

        return result;
    }

    private static int[] Classify(MappingProblem problem, out PositionNeed[] needs)
    {
        var known = new Dictionary<PositionNeed, int>();
        var (degrees, list) = (problem.Degrees, new List<PositionNeed>());
        var result = new int[degrees.DeviceCount];
        for (var i = 0; i < result.Length; i++)
        {
            var stage = i / degrees.Ranks;
            var need = new PositionNeed(
                problem.StageLayers[stage],
                i % degrees.Ranks,
                degrees.Ranks,
                stage % degrees.Stages == 0,
                stage % degrees.Stages == degrees.Stages - 1);
            if (!known.TryGetValue(need, out result[i]))
            {
                known.Add(need, result[i] = list.Count);
                list.Add(need);
            }
        }

        needs = [.. list];
        return result;
    }

    /// <summary>A device's home: the same stage and rank, in the replica that goes on with its requests.</summary>
    private static int[] Homes(MappingProblem problem, IReadOnlyList<DeviceId> devices)
    {
        var home = new int[devices.Count];
        Array.Fill(home, -1);
        var (now, next) = (problem.Current, problem.Degrees);
        if (now is null || now.Degrees.Stages != next.Stages || now.Degrees.Ranks != next.Ranks) return home;
        var heirs = problem.Inherited.Kept.GroupBy(cache => cache.OldReplica)
            .ToDictionary(group => group.Key, group => group.MaxBy(cache => cache.PageTokens)!.NewReplica);
        var index = devices.Select((device, i) => (device, i)).ToDictionary(entry => entry.device, entry => entry.i);
        for (var i = 0; i < now.Placement.Length; i++)
        {
            var position = now.PositionAt(i);
            var replica = heirs.GetValueOrDefault(position.Replica, position.Replica);
            if (replica >= next.Replicas || !index.TryGetValue(now.Placement[i], out var device)) continue;
            if (problem.StageLayers[(replica * next.Stages) + position.Stage] != now.LayersOf(position)) continue;
            home[device] = (((replica * next.Stages) + position.Stage) * next.Ranks) + position.Rank;
        }

        return home;
    }

    private sealed class SliceListComparer : IEqualityComparer<ImmutableArray<WeightSlice>>
    {
        public static SliceListComparer Instance { get; } = new();

        public bool Equals(ImmutableArray<WeightSlice> x, ImmutableArray<WeightSlice> y) =>
            x.AsSpan().SequenceEqual(y.AsSpan());

        public int GetHashCode(ImmutableArray<WeightSlice> slices)
        {
            var hash = default(HashCode);
            foreach (var slice in slices) hash.Add(slice);
            return hash.ToHashCode();
        }
    }
}
