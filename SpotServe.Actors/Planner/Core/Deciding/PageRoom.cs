using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>
/// Page counts of a new layout while an old one still serves, and which devices go on with the pages they have. A
/// replica that keeps the page count of its home can share the pages in place; that saves both copying and memory, so
/// a count that would change little is left as it is.
/// </summary>
internal sealed class PageRoom
{
    /// <summary>A home's page count is kept unless the devices could hold this many times as much.</summary>
    private const double GrowthMin = 2;

    private readonly DecisionInput _input;
    private readonly SliceGeometry _geometry;
    private readonly Layout _layout;
    private readonly Dictionary<DeviceId, long> _memory;
    private readonly ImmutableArray<int> _homes;

    public PageRoom(
        DecisionInput input,
        SliceGeometry geometry,
        Layout layout,
        Dictionary<DeviceId, long> memory,
        CacheInheritance inherited)
    {
        _input = input;
        _geometry = geometry;
        _layout = layout;
        _memory = memory;
        Successions = SuccessionsOf(layout, inherited, [.. input.Caches.Select(cache => cache.Replica).Order()]);
        _homes = [.. Enumerable.Range(0, layout.Degrees.Replicas).Select(HomeOf)];
    }

    /// <summary>Each old replica's successors, the one that keeps its page ids first.</summary>
    public ImmutableArray<Succession> Successions { get; }

    /// <summary>Counts beside what serves; without it when both do not fit.</summary>
    /// <exception cref="NoLayoutException">Not even alone does one full context fit.</exception>
    public (ImmutableArray<int> Pages, bool KeepsServing) Choose()
    {
        var alone = PageCounts.Pages(
            _input.Options, _input.Model, _layout, position => _memory[_layout.DeviceAt(position)]);
        if (_input.Serving is not { } serving) return (alone, true);
        var needed = KvPage.Count(_input.Model.ContextMax);
        var counts = new int[_layout.Degrees.Replicas];
        for (var replica = 0; replica < counts.Length; replica++)
        {
            var fitting = Beside(serving, replica, pagesToShare: -1);
            var home = _homes[replica];
            var kept = home < 0 ? -1 : serving.Pages[home];
            counts[replica] = kept >= needed && kept * GrowthMin > fitting && Beside(serving, replica, kept) >= kept
                ? kept
                : Math.Min(fitting, alone[replica]);
        }

        return counts.All(count => count >= needed) ? ([.. counts], true) : (alone, false);
    }

    /// <summary>The old epoch as the source of pages, or null when nobody hands over.</summary>
    public PageOrigin? Origin(ImmutableArray<int> pages)
    {
        if (_input.Serving is not { } serving || Successions.IsEmpty) return null;
        var expects = Enumerable.Range(0, _layout.Degrees.Replicas)
            .Select(replica => Successions.Where(pair => pair.New == replica).Select(pair => pair.Old)
                .ToImmutableArray())
            .ToImmutableArray();
        var shared = _layout.Positions.Where(position =>
            _homes[position.Replica] is >= 0 and var home
            && serving.Pages[home] == pages[position.Replica]
            && InPlace(serving, position).Count > 0);
        return new PageOrigin(
            serving.Epoch, serving.Layout, _homes, expects, [.. shared.Select(_layout.DeviceAt)]);
    }

    /// <summary>Pages that fit on every device of a replica beside what the device has now.</summary>
    /// <param name="pagesToShare">Count at which layers that stay share their pages; -1 for no sharing.</param>
    private int Beside(ServingEpoch serving, int replica, int pagesToShare)
    {
        var fit = long.MaxValue;
        foreach (var position in _layout.Positions.Where(position => position.Replica == replica))
        {
            var device = _layout.DeviceAt(position);
            var before = serving.Layout.Positions.Cast<Position?>()
                .FirstOrDefault(p => serving.Layout.DeviceAt(p!.Value) == device);
            var (layers, heads) = (_layout.LayersOf(position).Count, Heads(_layout, position));
            var free = _memory[device] - _input.Options.WorkingBytes - BothWeights(device, position);
            if (before is { } old)
            {
                free -= PageBytes(serving.Layout, old) * serving.Pages[old.Replica];
                if (pagesToShare == serving.Pages[old.Replica] && old.Replica == _homes[replica])
                {
                    layers -= InPlace(serving, position).Count;
                }
            }

            if (layers > 0) fit = Math.Min(fit, free / (PagePerLayer(heads) * layers));
            else if (free < 0) return 0;
        }

        return (int)Math.Clamp(fit, 0, _layout.Degrees.BatchSize * (long)KvPage.Count(_input.Model.ContextMax));
    }

    private LayerRange InPlace(ServingEpoch serving, Position position) =>
        PageMoves.InPlace(_input.Model, serving.Layout, _homes[position.Replica], _layout, position);

    /// <summary>What the device holds and what it will need, common slices once.</summary>
    private long BothWeights(DeviceId device, Position position)
    {
        var held = _input.Holdings.FirstOrDefault(holding => holding.Device == device)?.Weights ?? [];
        var need = PositionNeed.Of(_layout, position);
        return held.Sum(_geometry.Bytes) + _geometry.NeedBytes(need) - _geometry.ReuseBytes(need, held);
    }

    private long PageBytes(Layout layout, Position position) =>
        PagePerLayer(Heads(layout, position)) * layout.LayersOf(position).Count;

    private long PagePerLayer(long heads) => KvPage.Tokens * heads * _geometry.KvBytesPerTokenLayerHead;

    private long Heads(Layout layout, Position position) =>
        TensorSlices.KvHeads(_input.Model, position.Rank, layout.Degrees.Ranks).Count;

    private int HomeOf(int replica) =>
        Successions.FirstOrDefault(pair => pair.New == replica && pair.IsHome)?.Old ?? -1;

    /// <summary>Those that inherit requests, and one for each old replica that has none now: requests may come to it
    /// before it stops. A new replica has one home, an old one is the home of at most one.</summary>
    private static ImmutableArray<Succession> SuccessionsOf(
        Layout layout, CacheInheritance inherited, ImmutableArray<int> oldReplicas)
    {
        var pairs = inherited.Kept.OrderByDescending(kept => kept.PageTokens).ThenBy(kept => kept.OldReplica)
            .Select(kept => (Old: kept.OldReplica, New: kept.NewReplica))
            .ToList();
        var count = layout.Degrees.Replicas;
        foreach (var old in oldReplicas.Where(old => pairs.All(pair => pair.Old != old)))
        {
            var free = Enumerable.Range(0, count).Where(replica => pairs.All(pair => pair.New != replica)).ToList();
            pairs.Add((old, free.Contains(old) ? old : free.Count > 0 ? free[0] : old % count));
        }

        var successions = new List<Succession>();
        foreach (var (old, @new) in pairs)
        {
            var isHome = successions.All(known => !known.IsHome || (known.Old != old && known.New != @new));
            successions.Add(new Succession(old, @new, isHome));
        }

        return [.. successions.OrderBy(pair => pair.Old).ThenBy(pair => pair.IsHome ? 0 : 1).ThenBy(pair => pair.New)];
    }
}

/// <summary>An old replica hands requests to a new one.</summary>
/// <param name="IsHome">The new one keeps the old one's page ids.</param>
internal sealed record Succession(int Old, int New, bool IsHome);
