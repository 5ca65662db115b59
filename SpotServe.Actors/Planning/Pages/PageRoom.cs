using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>
/// Page counts of a new layout while an old one still serves, and which devices go on with the pages they have. A
/// replica that keeps the page count of its home can share the pages in place; that saves both copying and memory, so
/// a count that would change little is left as it is.
/// </summary>
internal sealed class PageRoom
{
    /// <summary>A home's page count is kept unless the devices could hold this many times as much.</summary>
    private const double GrowthMin = 2;

    private readonly PlanningInputs _inputs;
    private readonly SliceGeometry _geometry;
    private readonly Layout _layout;
    private readonly Dictionary<DeviceId, long> _memory;
    private readonly Dictionary<DeviceId, Holding> _held;
    private readonly Dictionary<DeviceId, Position> _before;
    private readonly ImmutableArray<int?> _homes;

    /// <param name="homes">Per new replica, the old one whose page ids it keeps.</param>
    public PageRoom(PlanningInputs inputs, Layout layout, ImmutableArray<int?> homes)
    {
        _inputs = inputs;
        _geometry = new SliceGeometry(inputs.Model);
        _layout = layout;
        _homes = homes;
        _held = inputs.Holdings.ToDictionary(holding => holding.Device);
        _before = inputs.Serving is { Layout: var serving }
            ? serving.Positions.ToDictionary(serving.DeviceAt)
            : [];
        var isBound = inputs.Search?.CheckMemory ?? true;
        _memory = inputs.Instances
            .SelectMany(instance => instance.Devices.Select(device => (device, instance)))
            .ToDictionary(
                pair => pair.device, pair => isBound ? pair.instance.DeviceMemoryBytes() : long.MaxValue / 4);
    }

    /// <summary>Counts beside what serves; without it when both do not fit.</summary>
    /// <exception cref="NoLayoutException">Not even alone does one full context fit.</exception>
    public (ImmutableArray<int> Pages, bool KeepsServing) Choose()
    {
        var alone = PageCounts.Alone(
            _inputs.Model, _layout, position => _memory[_layout.DeviceAt(position)], _inputs.WorkingBytes);
        if (_inputs.Serving is not { } serving) return (alone, true);
        var needed = KvPage.Count(_inputs.Model.ContextMax);
        var counts = new int[_layout.Degrees.Replicas];
        for (var replica = 0; replica < counts.Length; replica++)
        {
            var fitting = FittingPages(serving, replica, pagesToShare: null);
            counts[replica] = _homes[replica] is { } home && serving.Pages[home] is var kept
                && kept >= needed && kept * GrowthMin > fitting && FittingPages(serving, replica, kept) >= kept
                    ? kept
                    : Math.Min(fitting, alone[replica]);
        }

        return counts.All(count => count >= needed) ? ([.. counts], true) : (alone, false);
    }

    /// <summary>Devices that keep their pages with these counts.</summary>
    public ImmutableArray<DeviceId> SharedOn(ImmutableArray<int> pages)
    {
        if (_inputs.Serving is not { } serving) return [];
        return
        [
            .. _layout.Positions
                .Where(position => _homes[position.Replica] is { } home
                    && serving.Pages[home] == pages[position.Replica]
                    && InPlace(serving, position).Count > 0)
                .Select(_layout.DeviceAt),
        ];
    }

    /// <summary>Devices that have too little memory for these counts beside the weights that they hold, and those of
    /// which nobody said what they hold. None where a layout goes on serving: its counts leave room for them.</summary>
    public ImmutableArray<DeviceId> ShortOn(ImmutableArray<int> pages, bool keepsServing)
    {
        if (keepsServing && _inputs.Serving is not null) return [];
        return [.. _layout.Positions.Where(IsShort).Select(_layout.DeviceAt)];

        bool IsShort(Position position)
        {
            var device = _layout.DeviceAt(position);
            var pageBytes = LayoutAssembly.KvPageBytes(_inputs.Model, _layout, position) * pages[position.Replica];
            return !_held.ContainsKey(device)
                || BothWeights(device, position) + _inputs.WorkingBytes + pageBytes > _memory[device];
        }
    }

    /// <summary>Pages that fit on every device of a replica beside what the device has now.</summary>
    /// <param name="pagesToShare">Count at which layers that stay share their pages; null for no sharing.</param>
    private int FittingPages(ServingLayout serving, int replica, int? pagesToShare)
    {
        var fit = long.MaxValue;
        foreach (var position in _layout.PositionsOf(replica))
        {
            var device = _layout.DeviceAt(position);
            var (layers, heads) = (_layout.LayersOf(position).Count, Heads(_layout, position));
            var free = _memory[device] - _inputs.WorkingBytes - BothWeights(device, position);
            if (_before.TryGetValue(device, out var old))
            {
                free -= LayoutAssembly.KvPageBytes(_inputs.Model, serving.Layout, old) * serving.Pages[old.Replica];
                if (pagesToShare == serving.Pages[old.Replica] && old.Replica == _homes[replica])
                {
                    layers -= InPlace(serving, position).Count;
                }
            }

            if (layers > 0) fit = Math.Min(fit, free / (KvPage.Bytes(_inputs.Model, heads) * layers));
            else if (free < 0) return 0;
        }

        return (int)Math.Clamp(fit, 0, _layout.Degrees.BatchSize * (long)KvPage.Count(_inputs.Model.ContextMax));
    }

    private LayerRange InPlace(ServingLayout serving, Position position) => _homes[position.Replica] is { } home
        ? PageMoves.InPlace(_inputs.Model, serving.Layout, home, _layout, position)
        : default;

    /// <summary>What the device holds and what it will need. A share of a layer that is cut anew is memory of its own
    /// beside the one that it is copied from; only equal shares are there once.</summary>
    private long BothWeights(DeviceId device, Position position)
    {
        var held = _held.GetValueOrDefault(device)?.Weights ?? ServedBy(device);
        var need = _geometry.Need(PositionNeed.Of(_layout, position));
        return held.Sum(_geometry.Bytes) + need.Sum(slice => AddedBytes(slice, held));
    }

    /// <summary>What a device has at least of which nobody said what it holds.</summary>
    private ImmutableArray<WeightSlice> ServedBy(DeviceId device) =>
        _inputs.Serving is { Layout: var serving } && _before.TryGetValue(device, out var position)
            ? [.. _geometry.Need(PositionNeed.Of(serving, position))]
            : [];

    private long AddedBytes(WeightSlice slice, ImmutableArray<WeightSlice> held) =>
        Enumerable.Range(slice.Layers.First, slice.Layers.Count)
            .Where(layer => !held.Any(
                known => known.Group == slice.Group && known.Share == slice.Share && known.Layers.Contains(layer)))
            .Sum(layer => _geometry.Bytes(slice with { Layers = new LayerRange(layer, layer + 1) }));

    private long Heads(Layout layout, Position position) =>
        TensorSlices.KvHeads(_inputs.Model, position.Rank, layout.Degrees.Ranks).Count;
}
