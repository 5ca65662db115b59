using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>A position's missing parts of one layer.</summary>
internal readonly record struct LayerParts(int Position, TensorGroup Group, int Layer, MissingPart[] Parts)
{
    public long Bytes => Parts.Sum(part => part.Bytes);
}

/// <summary>
/// Writes one attempt at a plan: KV pages, then weights from the front layers on, stages as they become ready, the
/// cut-over with the tail, and the frees after it.
/// </summary>
internal sealed class DraftBuilder
{
    private readonly MigrationProblem _problem;
    private readonly MigrationScene _scene;
    private readonly PlanDraft _draft;
    private readonly SourceIndex _sources;
    private readonly List<int>[] _stageArrivals;
    private readonly List<int> _cacheArrivals = [];
    private readonly bool _stop;
    private readonly bool _urgentFirst;

    /// <param name="stop">Whether the old layout stops before anything moves.</param>
    /// <param name="urgentFirst">Whether parts that only leaving nodes have go before all others, pages
    /// included.</param>
    public DraftBuilder(MigrationProblem problem, MigrationScene scene, bool stop, bool urgentFirst = false)
    {
        _urgentFirst = urgentFirst;
        _problem = problem;
        _scene = scene;
        _stop = stop;
        _draft = new PlanDraft(problem, scene.Holdings);
        _sources = new SourceIndex(problem.Geometry, scene.Holdings);
        _stageArrivals = [.. problem.Target.StageLayers.Select(_ => new List<int>())];
    }

    /// <summary>Surplus slices that were freed early, by holding.</summary>
    public HashSet<(int Holding, WeightSlice Slice)> FreedWeights { get; } = [];

    public HashSet<(int Holding, CacheSlice Slice)> FreedCaches { get; } = [];

    /// <exception cref="SourceLostException">Weights that nobody has.</exception>
    public DraftOutcome Build()
    {
        if (Overfull() is { } overfull) return overfull;
        var pressed = _scene.Pressed();
        if (pressed.Count > 0) return StuckAt(pressed[0]);
        if (_stop) _draft.Stop();
        FreeShed();
        var units = Units();
        if (_urgentFirst) CopyUrgent(units);
        foreach (var unit in units) foreach (var parts in unit) Copy(parts);
        if (CopyCaches(_stop ? CachePart.All : CachePart.FullPages) is { } late) return late;
        long[] peak =
        [
            .. _scene.HeldBytes.Select((held, i) =>
                Math.Max(_scene.StartBytes[i], held + _scene.MissingBytes[i] + _scene.CacheBytes[i])),
        ];
        return Finish(peak);
    }

    /// <summary>Missing parts by layer: the front, layer 0 and on, the back.</summary>
    public List<LayerParts>[] Units()
    {
        var units = new List<LayerParts>[_problem.Geometry.Model.LayerCount + 2];
        for (var u = 0; u < units.Length; u++) units[u] = [];
        for (var position = 0; position < _scene.Missing.Length; position++)
        {
            foreach (var slice in _scene.Missing[position])
            {
                foreach (var (run, layers) in _sources.Runs(slice.Group, slice.Layers))
                {
                    var parts = _sources.Parts(slice.Group, run, slice.Share);
                    for (var layer = layers.First; layer < layers.End; layer++)
                    {
                        units[UnitOf(slice.Group, layer)].Add(new LayerParts(position, slice.Group, layer, parts));
                    }
                }
            }
        }

        return units;
    }

    public int UnitOf(TensorGroup group, int layer) => group switch
    {
        TensorGroup.Front => 0,
        TensorGroup.Layers => layer + 1,
        TensorGroup.Back => _problem.Geometry.Model.LayerCount + 1,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>Copies a position's parts of a layer.</summary>
    /// <param name="reader">Told each copy's id and the holding that it reads, or -1 for storage.</param>
    public void Copy(LayerParts parts, Action<int, int>? reader = null)
    {
        var to = _scene.DeviceOf[parts.Position];
        var arrivals = _stageArrivals[parts.Position / _problem.Target.Degrees.Ranks];
        foreach (var part in parts.Parts)
        {
            var (id, source) = _draft.CopyWeights(to, parts.Group, parts.Layer, part);
            arrivals.Add(id);
            reader?.Invoke(id, source);
        }
    }

    /// <summary>Which of a request's pages are copied.</summary>
    public enum CachePart
    {
        FullPages,
        Tail,
        All,
    }

    /// <summary>Copies all KV pages that have to move; an outcome when a source leaves too early.</summary>
    public DraftOutcome? CopyCaches(CachePart part, Action<int, int>? reader = null, int afterId = -1)
    {
        var wait = afterId >= 0 ? afterId : _draft.StopId;
        ImmutableArray<int> after = wait >= 0 ? [wait] : [];
        var earliest = wait >= 0 ? _draft.FinishOf(wait) : 0;
        foreach (var move in _scene.CacheMoves)
        {
            var bytes = _scene.MoveBytes(move, Tokens(move.Inherited, part));
            if (bytes == 0) continue;
            if (_draft.CopyCache(move, bytes, part == CachePart.Tail, after, earliest) is not { } copy)
            {
                return new DraftOutcome.CacheLate(move.Inherited);
            }

            _cacheArrivals.Add(copy.Id);
            if (part != CachePart.Tail) _stageArrivals[move.Target / _problem.Target.Degrees.Ranks].Add(copy.Id);
            reader?.Invoke(copy.Id, copy.Source);
        }

        return null;
    }

    /// <summary>Copies what only leaving nodes have, and takes it out of the units.</summary>
    private void CopyUrgent(List<LayerParts>[] units)
    {
        foreach (var unit in units)
        {
            for (var i = 0; i < unit.Count; i++)
            {
                var urgent = Array.FindAll(unit[i].Parts, part => part.Holders.Length > 0
                    && Array.TrueForAll(part.Holders, holder =>
                        _problem.Leaving.ContainsKey(_scene.Holdings[holder].Device.Node)));
                if (urgent.Length == 0) continue;
                Copy(unit[i] with { Parts = urgent });
                unit[i] = unit[i] with { Parts = [.. unit[i].Parts.Except(urgent)] };
            }
        }
    }

    public DraftOutcome.Stuck StuckAt(int position, long? needBytes = null)
    {
        var device = _problem.Target.Placement[position];
        var need = needBytes
            ?? _scene.HeldBytes[position] + _scene.MissingBytes[position] + _scene.CacheBytes[position];
        return new DraftOutcome.Stuck(
            device, need, _problem.BudgetFor(device), "old and new slices do not fit together.");
    }

    private static long Tokens(InheritedCache cache, CachePart part) => part switch
    {
        CachePart.FullPages => cache.Requests.Sum(request => (long)request.FullPageTokens),
        CachePart.Tail => cache.Requests.Sum(request => (long)request.PageTokens - request.FullPageTokens),
        CachePart.All => cache.PageTokens,
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private DraftOutcome.Stuck? Overfull()
    {
        for (var i = 0; i < _scene.FinalBytes.Length; i++)
        {
            var device = _problem.Target.Placement[i];
            if (_scene.FinalBytes[i] <= _problem.BudgetFor(device)) continue;
            return new DraftOutcome.Stuck(
                device, _scene.FinalBytes[i], _problem.BudgetFor(device), "the new position alone is too large.");
        }

        return null;
    }

    private void FreeShed()
    {
        foreach (var holding in _scene.Shed.Order())
        {
            var before = _scene.Discarded[holding];
            var need = _scene.PositionOf[holding] < 0 ? [] : _scene.Need[_scene.PositionOf[holding]];
            foreach (var slice in HoldingDiff.Surplus(before.Weights, need))
            {
                _draft.FreeWeights(holding, slice, [], early: true);
            }

            foreach (var slice in before.Caches)
            {
                var surplus = _scene.CacheSurplus(holding, slice);
                if (surplus <= 0) continue;
                _draft.FreeCache(holding, slice, surplus, [], early: true);
                FreedCaches.Add((holding, slice));
            }
        }
    }

    private DraftOutcome Finish(long[] peak)
    {
        var ready = StagesReady();
        var preCopy = 0.0;
        int serve;
        if (_stop)
        {
            // Pages of a replica and its stages' weights go the same ways: serving waits for both.
            serve = Serve(ready.Concat(_cacheArrivals));
        }
        else
        {
            var cut = _draft.Mark(ready, (id, after, at) => new MigrationStep.CutOver(id, after, at, at));
            preCopy = _draft.FinishOf(cut);
            _cacheArrivals.Clear();
            if (CopyCaches(CachePart.Tail, afterId: cut) is { } late) return late;
            serve = Serve(_cacheArrivals.Append(cut));
        }

        FreeRest(serve);
        var starts = ready.Select(id => _draft.Steps[id].Finish).ToImmutableArray();
        return new DraftOutcome.Done(new MigrationPlan(
            _problem.Target,
            _stop ? MigrationMode.StopThenMigrate : MigrationMode.CopyWhileServing,
            [.. _draft.Steps],
            PlanDraft.Time(preCopy),
            _draft.Steps[serve].Finish - PlanDraft.Time(preCopy),
            starts,
            [.. peak],
            _draft.Moved,
            CacheGivenUp: false,
            Notes: []));
    }

    private List<int> StagesReady()
    {
        var stages = _problem.Target.Degrees.Stages;
        return [.. _stageArrivals.Select((arrivals, i) => _draft.Mark(arrivals, (id, after, at) =>
            new MigrationStep.StageReady(id, after, at, at, i / stages, i % stages)))];
    }

    private int Serve(IEnumerable<int> after) => _draft.Mark(after, (id, ids, at) =>
        new MigrationStep.Serve(id, ids, at, at + _problem.CutOverOverhead));

    /// <summary>Only now, with the new layout's confirmation; nodes that leave need free nothing.</summary>
    private void FreeRest(int serve)
    {
        for (var i = 0; i < _scene.Holdings.Count; i++)
        {
            if (_problem.Leaving.ContainsKey(_scene.Holdings[i].Device.Node)) continue;
            foreach (var slice in _scene.Surplus[i])
            {
                foreach (var rest in Unfreed(i, slice)) _draft.FreeWeights(i, rest, [serve], early: false);
            }

            foreach (var slice in _scene.Holdings[i].Caches)
            {
                var surplus = _scene.CacheSurplus(i, slice);
                if (surplus > 0 && !FreedCaches.Contains((i, slice)))
                {
                    _draft.FreeCache(i, slice, surplus, [serve], early: false);
                }
            }
        }
    }

    /// <summary>Early frees go layer by layer; what of a slice is left comes after the confirmation.</summary>
    private IEnumerable<WeightSlice> Unfreed(int holding, WeightSlice slice)
    {
        if (FreedWeights.Count == 0) return [slice];
        return Enumerable.Range(slice.Layers.First, slice.Layers.Count)
            .Select(layer => slice with { Layers = new LayerRange(layer, layer + 1) })
            .Where(one => !FreedWeights.Contains((holding, one)));
    }
}
