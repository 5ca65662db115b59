using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>Pages on their way from old replicas to new ones: full ones while the old replica decodes, tails once it
/// stands still. Pages that are in place already cost nothing.</summary>
internal sealed class LiveHandover(
    VirtualTime time, LiveSetup setup, SliceGeometry geometry, SimulatedDevices devices)
{
    /// <returns>When all full pages are over.</returns>
    public double CopyFullPages(
        LiveReplica old, Epoch epoch, SortedDictionary<(Epoch Epoch, int Replica), LiveReplica> replicas)
    {
        var cached = old.Held is { } held
            ? held.Where(entry => entry.HasCache).Select(entry => entry.Request.Cached).ToList()
            : old.Serving.Cached().ToList();
        var over = time.Now + setup.HandoverSeconds;
        foreach (var target in old.Targets)
        {
            if (!replicas.TryGetValue((epoch, target.NewReplica), out var heir)) continue;
            var ids = target.Requests.ToHashSet();
            var tokens = cached.Where(request => ids.Contains(request.Id) || target.IsHome)
                .Sum(request => (long)request.FullPageTokens);
            over = Math.Max(over, Copy(old, heir, tokens));
        }

        return over;
    }

    /// <summary>Copies what was written since, at most a page and a step's tokens of each.</summary>
    /// <returns>When the new replica has it.</returns>
    public double CopyTails(LiveReplica old, LiveReplica heir, IReadOnlyCollection<SimulatedRequest> requests) =>
        Math.Max(time.Now + setup.HandoverSeconds, Copy(old, heir, 2L * KvPage.Tokens * requests.Count));

    private double Copy(LiveReplica old, LiveReplica heir, long tokens)
    {
        var over = time.Now;
        if (tokens == 0) return over;
        foreach (var to in heir.Layout.PositionsOf(heir.Index))
        {
            foreach (var from in old.Layout.PositionsOf(old.Index))
            {
                var (source, target) = (old.Layout.DeviceAt(from), heir.Layout.DeviceAt(to));
                if (source == target) continue;
                var layers = old.Layout.LayersOf(from).Intersect(heir.Layout.LayersOf(to)).Count;
                var (has, needs) = (Heads(old.Layout, from), Heads(heir.Layout, to));
                var heads = (int)Math.Max(0, Math.Min(has.End, needs.End) - Math.Max(has.First, needs.First));
                if (layers == 0 || heads == 0) continue;
                var bytes = geometry.KvBytes(tokens, layers, heads);
                devices.Moved(bytes);
                over = Math.Max(over, devices.Transfer(source.Node, target.Node, bytes, time.Now));
            }
        }

        return over;
    }

    private AxisRange Heads(Layout layout, Position position) =>
        TensorSlices.KvHeads(geometry.Model, position.Rank, layout.Degrees.Ranks);
}
