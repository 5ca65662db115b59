namespace SpotServe.Actors.Planning;

/// <summary>Maps one block of positions to its machines, in one level or in two.</summary>
/// <remarks>
/// Two levels: the positions are cut into bundles that fit a machine; an inner matching scores each (machine, bundle),
/// an outer one pairs them. Machines of equal holdings and bundles of equal needs share one inner matching, unless KV
/// pages or a device's present place tie this very machine to this very bundle: that is what keeps a thousand GPUs
/// cheap.
/// </remarks>
internal sealed partial class BlockMapper
{
    /// <summary>Regrouping is tried up to this many tensor groups: it matches them one by one.</summary>
    public const int RegroupMax = 512;

    /// <summary>Groups are exchanged between machines up to this many: it takes more than quadratic time.</summary>
    public const int ExchangeMax = 64;

    /// <summary>Pairs that are scored in a matrix; what has more is matched by kinds (docs/adr/0083).</summary>
    public const long PairsMax = 1L << 20;

    private readonly ReuseTable _table;
    private readonly MappingBlock _block;
    private readonly LayoutDegrees _degrees;
    private readonly long _pairsMax;
    private readonly AssignmentSolver _inner = new();
    private readonly AssignmentSolver _outer = new();
    private readonly long _scale;
    private readonly long _unit;
    private long[] _weights = [];
    private int[] _chosen = [];

    public BlockMapper(ReuseTable table, MappingBlock block, LayoutDegrees degrees, long pairsMax = PairsMax)
    {
        _pairsMax = pairsMax;
        _table = table;
        _block = block;
        _degrees = degrees;
        // A device that stays counts one, a byte counts more than all that could stay: ties alone are decided by it.
        // Bytes come in multiples of the model's rows, which makes room for that in 64 bits.
        _unit = table.Unit;
        _scale = block.Stages.Length * degrees.Ranks + 1;
        if (table.BytesMax / _unit > AssignmentSolver.MagnitudeMax / _scale / _scale) _scale = 1;
    }

    /// <summary>Every device for itself.</summary>
    public void OneLevel(int[] deviceOf)
    {
        var positions = _block.Stages.SelectMany(Positions).ToArray();
        var devices = _block.Machines.SelectMany(machine => machine).ToArray();
        var chosen = new int[positions.Length];
        if ((long)positions.Length * devices.Length <= _pairsMax) Solve(_outer, positions, devices, chosen);
        else
        {
            AssignByKinds(
                [.. positions.Select(position => new[] { position })], [.. devices.Select(device => new[] { device })],
                chosen);
        }

        for (var i = 0; i < positions.Length; i++) deviceOf[positions[i]] = devices[chosen[i]];
    }

    /// <summary>Machines to bundles, then devices within. False when no bundling fits these machines.</summary>
    public bool TwoLevels(int[] deviceOf)
    {
        if (_degrees.Ranks == 1 && _block.Stages.Length <= RegroupMax)
        {
            // Nothing to keep together: one level is two.
            OneLevel(deviceOf);
            return true;
        }

        var bundled = Bundles() is { } bundles ? Assign(bundles) : null;
        var regrouped = Regrouped();
        var best = (bundled, regrouped) switch
        {
            (null, null) => null,
            ({ } one, { } two) => two.Value > one.Value ? two : one,
            ({ } one, null) => one,
            (null, { } two) => two,
        };
        if (best is null) return false;
        foreach (var (devices, positions) in best.Pairs)
        {
            Grow(positions.Length);
            Solve(_inner, positions, devices, _chosen);
            for (var i = 0; i < positions.Length; i++) deviceOf[positions[i]] = devices[_chosen[i]];
        }

        return true;
    }

    /// <summary>Consecutive positions, as many as a machine takes; null when machines differ or M does not fit
    /// them.</summary>
    private List<int[]>? Bundles()
    {
        var size = _block.Machines[0].Length;
        if (_block.Machines.Any(machine => machine.Length != size)) return null;
        if (_degrees.Ranks > size)
        {
            if (_degrees.Ranks % size != 0) return null;
            var halves = _block.Stages.SelectMany(stage => Positions(stage).Chunk(size)).ToList();
            return halves.Count <= _block.Machines.Length ? halves : null;
        }

        var bundles = _block.Stages.Chunk(size / _degrees.Ranks)
            .Select(stages => stages.SelectMany(Positions).ToArray()).ToList();
        return bundles.Count <= _block.Machines.Length ? bundles : null;
    }

    /// <summary>The outer matching of bundles to machines.</summary>
    private Pairing Assign(List<int[]> bundles)
    {
        var machines = _block.Machines;
        var machineOf = new int[bundles.Count];
        long value;
        if ((long)bundles.Count * machines.Length > _pairsMax)
        {
            AssignByKinds(bundles, machines, machineOf);
            value = bundles.Select((positions, b) => SolveInner(positions, machines[machineOf[b]])).Sum();
        }
        else
        {
            var scores = Scores(bundles);
            var weights = new long[bundles.Count * machines.Length];
            for (var b = 0; b < bundles.Count; b++)
            {
                for (var m = 0; m < machines.Length; m++) weights[(b * machines.Length) + m] = scores[b, m];
            }

            value = _outer.Maximize(weights, bundles.Count, machines.Length, machineOf);
        }

        return new Pairing([.. bundles.Select((positions, b) => (machines[machineOf[b]], positions))], value);
    }

    /// <summary>The inner matching's value for every bundle and machine that has devices enough.</summary>
    private long[,] Scores(List<int[]> bundles)
    {
        var machines = _block.Machines;
        var machineKind = Kinds(machines, _table.DeviceClass, out var machineKinds);
        var bundleKind = Kinds(bundles, _table.PositionClass, out var bundleKinds);
        var shared = new long[bundleKinds, machineKinds];
        var known = new bool[bundleKinds, machineKinds];
        var tied = Tied(bundles, machines);
        var scores = new long[bundles.Count, machines.Length];
        for (var m = 0; m < machines.Length; m++)
        {
            var own = tied[m];
            for (var b = 0; b < bundles.Count; b++)
            {
                if (bundles[b].Length > machines[m].Length) continue;
                if (own.Contains(b))
                {
                    scores[b, m] = SolveInner(bundles[b], machines[m]);
                    continue;
                }

                ref var value = ref shared[bundleKind[b], machineKind[m]];
                ref var isKnown = ref known[bundleKind[b], machineKind[m]];
                if (!isKnown)
                {
                    value = SolveInner(bundles[b], machines[m]);
                    isKnown = true;
                }

                scores[b, m] = value;
            }
        }

        return scores;
    }

    /// <summary>The same matching without a matrix: pairs that nothing ties to each other weigh what their kinds
    /// do.</summary>
    private void AssignByKinds(List<int[]> bundles, int[][] machines, Span<int> machineOf)
    {
        var machineKind = Kinds(machines, _table.DeviceClass, out var machineKinds);
        var bundleKind = Kinds(bundles, _table.PositionClass, out var bundleKinds);
        var shared = new long[bundleKinds, machineKinds];
        for (var k = 0; k < bundleKinds; k++)
        {
            var bundle = bundles[Array.IndexOf(bundleKind, k)];
            for (var c = 0; c < machineKinds; c++)
            {
                shared[k, c] = SolveInner(bundle, machines[Array.IndexOf(machineKind, c)], weightsOnly: true);
            }
        }

        var own = new List<(int, long)>[bundles.Count];
        for (var b = 0; b < own.Length; b++) own[b] = [];
        var tied = Tied(bundles, machines);
        for (var m = 0; m < tied.Length; m++)
        {
            foreach (var b in tied[m].Order()) own[b].Add((m, SolveInner(bundles[b], machines[m])));
        }

        KindAssignmentSolver.Maximize(new KindWeights(bundleKind, machineKind, shared, own), machineOf);
    }

    /// <summary>Bundles per machine that it has KV pages or a present place in.</summary>
    private HashSet<int>[] Tied(List<int[]> bundles, int[][] machines)
    {
        var perReplica = _degrees.Stages * _degrees.Ranks;
        var bundleOf = new Dictionary<int, int>();
        var ofReplica = new Dictionary<int, HashSet<int>>();
        for (var b = 0; b < bundles.Count; b++)
        {
            foreach (var position in bundles[b])
            {
                bundleOf[position] = b;
                var replica = position / perReplica;
                if (!ofReplica.TryGetValue(replica, out var list)) ofReplica[replica] = list = [];
                list.Add(b);
            }
        }

        return [.. machines.Select(machine =>
        {
            var own = new HashSet<int>();
            foreach (var device in machine)
            {
                if (bundleOf.TryGetValue(_table.Home(device), out var home)) own.Add(home);
                foreach (var heir in _table.HeirsOf(device))
                {
                    if (ofReplica.TryGetValue(heir, out var list)) own.UnionWith(list);
                }
            }

            return own;
        })];
    }

    /// <summary>Numbers lists by the classes of their members: equal numbers, equal classes in equal order.</summary>
    private static int[] Kinds(IReadOnlyList<int[]> lists, int[] classOf, out int count)
    {
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        var kinds = new int[lists.Count];
        for (var i = 0; i < lists.Count; i++)
        {
            var classes = Array.ConvertAll(lists[i], member => checked((char)classOf[member]));
            var key = new string(classes);
            if (!known.TryGetValue(key, out kinds[i])) known.Add(key, kinds[i] = known.Count);
        }

        count = known.Count;
        return kinds;
    }

    private long SolveInner(int[] positions, int[] devices, bool weightsOnly = false)
    {
        Grow(positions.Length);
        return Solve(_inner, positions, devices, _chosen, weightsOnly);
    }

    private long Solve(
        AssignmentSolver solver, int[] positions, int[] devices, int[] chosen, bool weightsOnly = false)
    {
        var count = positions.Length * devices.Length;
        if (_weights.Length < count) _weights = new long[count];
        for (var p = 0; p < positions.Length; p++)
        {
            for (var d = 0; d < devices.Length; d++)
            {
                var stays = !weightsOnly && _scale > 1 && _table.Home(devices[d]) == positions[p] ? 1 : 0;
                var bytes = weightsOnly
                    ? _table.Weights(devices[d], positions[p])
                    : _table.Bytes(devices[d], positions[p]);
                _weights[(p * devices.Length) + d] = (bytes / _unit * _scale) + stays;
            }
        }

        return solver.Maximize(_weights, positions.Length, devices.Length, chosen);
    }

    private IEnumerable<int> Positions(int stage) => Enumerable.Range(stage * _degrees.Ranks, _degrees.Ranks);

    private void Grow(int count)
    {
        if (_chosen.Length < count) _chosen = new int[count];
    }

    private sealed record Pairing(List<(int[] Devices, int[] Positions)> Pairs, long Value);
}
