namespace SpotServe.Actors.Planning;

/// <summary>
/// The paper's memory-optimised order (Algorithm 2, MemOptOrder), when old and new slices do not fit side by side:
/// layers from the front on while every device stays within its budget, the others set aside; then repeatedly the one
/// that leaves the most room. Layers that do not fit whole go device by device. Obsolete slices are freed as soon as
/// nobody needs them any more, and only on devices that need the room.
/// </summary>
internal sealed class MemoryOrder
{
    private readonly DraftBuilder _builder;
    private readonly MigrationScene _scene;
    private readonly long[] _used;
    private readonly long[] _budget;
    private readonly HashSet<int> _pressed;
    private readonly Dictionary<(int Unit, int Holding), List<int>> _readers = [];
    private readonly Dictionary<int, List<int>> _cacheReaders = [];
    private List<LayerParts>[] _units = [];

    /// <param name="pressed">Positions whose devices are short of memory.</param>
    public MemoryOrder(DraftBuilder builder, List<int> pressed)
    {
        _builder = builder;
        _scene = builder.Scene;
        _used = [.. _scene.HeldBytes];
        _budget = [.. builder.Problem.Target.Placement.Select(builder.Problem.BudgetFor)];
        _pressed = [.. pressed];
        PeakBytes = [.. _used];
    }

    public long[] PeakBytes { get; }

    /// <summary>Emits all copies and the early frees; an outcome when no next step fits.</summary>
    /// <param name="roomFirst">Whether all layers are set aside, so that room alone decides and not the front.</param>
    public DraftOutcome? Run(List<LayerParts>[] units, bool roomFirst)
    {
        _units = units;
        if (Caches() is { } outcome) return outcome;
        // Slices that nobody reads make room before anything else.
        for (var unit = 0; unit < units.Length; unit++) Free(unit);
        var aside = new List<int>();
        for (var unit = 0; unit < units.Length; unit++)
        {
            if (units[unit].Count == 0) continue;
            if (!roomFirst && Fits(unit)) Emit(unit);
            else aside.Add(unit);
        }

        while (aside.Count > 0)
        {
            var best = aside.Where(Fits).Select(unit => (Unit: unit, Fill: FillAfter(unit)))
                .OrderBy(entry => entry.Fill).ThenBy(entry => entry.Unit).Select(entry => entry.Unit)
                .DefaultIfEmpty(-1).First();
            if (best >= 0) Emit(best);
            else if (EmitSmallest(aside) is { } stuck) return stuck;
            aside.RemoveAll(unit => _units[unit].Count == 0);
        }

        return null;
    }

    private DraftOutcome? Caches()
    {
        for (var i = 0; i < _used.Length; i++)
        {
            if (_used[i] + _scene.CacheBytes[i] > _budget[i] && _scene.CacheBytes[i] > 0)
            {
                return _builder.StuckAt(i, _used[i] + _scene.CacheBytes[i]);
            }

            Add(i, _scene.CacheBytes[i]);
        }

        var late = _builder.CopyCaches(DraftBuilder.CachePart.All, (id, source) =>
        {
            if (!_cacheReaders.TryGetValue(source, out var readers)) _cacheReaders[source] = readers = [];
            readers.Add(id);
        });
        if (late is not null) return late;
        foreach (var position in _pressed.Order())
        {
            var holding = _scene.DeviceOf[position];
            foreach (var slice in _scene.Holdings[holding].Caches)
            {
                var surplus = _scene.CacheSurplus(holding, slice);
                if (surplus <= 0) continue;
                _builder.Draft.FreeCache(
                    holding, slice, surplus, _cacheReaders.GetValueOrDefault(holding, []), early: true);
                _builder.FreedCaches.Add((holding, slice));
                _used[position] -= surplus;
            }
        }

        return null;
    }

    private bool Fits(int unit)
    {
        var incoming = new Dictionary<int, long>();
        foreach (var parts in _units[unit])
        {
            var sum = incoming[parts.Position] = incoming.GetValueOrDefault(parts.Position) + parts.Bytes;
            if (_used[parts.Position] + sum > _budget[parts.Position]) return false;
        }

        return true;
    }

    /// <summary>How full the fullest device would be after a layer: what is set aside longest hurts least.</summary>
    private double FillAfter(int unit)
    {
        var change = new Dictionary<int, long>();
        foreach (var parts in _units[unit])
        {
            change[parts.Position] = change.GetValueOrDefault(parts.Position) + parts.Bytes;
        }

        foreach (var position in _pressed)
        {
            foreach (var slice in Surplus(_scene.DeviceOf[position], unit))
            {
                change[position] = change.GetValueOrDefault(position) - _builder.Problem.Geometry.Bytes(slice);
            }
        }

        var fill = 0.0;
        for (var i = 0; i < _used.Length; i++)
        {
            fill = Math.Max(fill, (_used[i] + change.GetValueOrDefault(i)) / (double)_budget[i]);
        }

        return fill;
    }

    private void Emit(int unit)
    {
        foreach (var parts in _units[unit]) Emit(unit, parts);
        _units[unit].Clear();
        Free(unit);
    }

    private void Emit(int unit, LayerParts parts)
    {
        Add(parts.Position, parts.Bytes);
        _builder.Copy(parts, (id, source) =>
        {
            if (source < 0) return;
            if (!_readers.TryGetValue((unit, source), out var readers)) _readers[(unit, source)] = readers = [];
            readers.Add(id);
        });
    }

    /// <summary>One device's part of one layer: the first that fits, by the room that it leaves.</summary>
    private DraftOutcome.Stuck? EmitSmallest(List<int> aside)
    {
        (int Unit, LayerParts Parts, long Room)? best = null;
        (int Position, long Need, long Short)? nearest = null;
        foreach (var unit in aside)
        {
            foreach (var parts in _units[unit])
            {
                var need = _used[parts.Position] + parts.Bytes;
                var room = _budget[parts.Position] - need;
                if (room < 0)
                {
                    if (nearest is null || -room < nearest.Value.Short) nearest = (parts.Position, need, -room);
                    continue;
                }

                room += Surplus(_scene.DeviceOf[parts.Position], unit).Sum(_builder.Problem.Geometry.Bytes);
                if (best is null || room > best.Value.Room) best = (unit, parts, room);
            }
        }

        if (best is not { } next)
        {
            Invariant.Holds(nearest is not null);
            return _builder.StuckAt(nearest.Value.Position, nearest.Value.Need);
        }

        Emit(next.Unit, next.Parts);
        _units[next.Unit].Remove(next.Parts);
        Free(next.Unit);
        return null;
    }

    /// <summary>Frees a layer's obsolete slices on pressed devices, those that no device still waits for.</summary>
    private void Free(int unit)
    {
        foreach (var position in _pressed.Order())
        {
            var holding = _scene.DeviceOf[position];
            foreach (var slice in Surplus(holding, unit).ToList())
            {
                if (_units[unit].Any(parts => Array.Exists(parts.Parts, part => Overlap(part, slice)))) continue;
                _builder.Draft.FreeWeights(
                    holding, slice, _readers.GetValueOrDefault((unit, holding), []), early: true);
                _builder.FreedWeights.Add((holding, slice));
                _used[position] -= _builder.Problem.Geometry.Bytes(slice);
            }
        }
    }

    /// <summary>What a device may free of a layer, and has not yet.</summary>
    private IEnumerable<WeightSlice> Surplus(int holding, int unit)
    {
        foreach (var slice in _scene.Surplus[holding])
        {
            var layer = slice.Group == TensorGroup.Layers ? unit - 1 : 0;
            if (_builder.UnitOf(slice.Group, layer) != unit || !slice.Layers.Contains(layer)) continue;
            var one = slice with { Layers = new LayerRange(layer, layer + 1) };
            if (!_builder.FreedWeights.Contains((holding, one))) yield return one;
        }
    }

    private static bool Overlap(MissingPart part, WeightSlice slice) => !part.Share.Intersect(slice.Share).IsEmpty;

    private void Add(int position, long bytes)
    {
        _used[position] += bytes;
        PeakBytes[position] = Math.Max(PeakBytes[position], _used[position]);
    }
}
