using System.Collections.Immutable;
using System.Globalization;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;
using SpotServe.Seed.Fleet;
using SpotServe.Seed.Narration;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>
/// Makes of the planner's view what a person looks at. Remembers only what a single view does not say: which nodes have
/// just gone. Not thread-safe.
/// </summary>
internal sealed class SnapshotBuilder(NodeNames names, LocalNodes local)
{
    /// <summary>A node that is gone stays in sight for so long.</summary>
    private static readonly TimeSpan GoneShown = TimeSpan.FromSeconds(20);

    private const int GoneMax = 64;

    private readonly Dictionary<string, NodeView> _nodes = [];
    private (ModelSpec Model, SliceGeometry Geometry)? _geometry;

    /// <summary>Adds to a snapshot what the planner's view says.</summary>
    public ClusterSnapshot Build(ClusterSnapshot snapshot, PlannerView view) => snapshot with
    {
        Phase = view.Phase,
        StatusLine = view.StatusLine,
        Epoch = view.ServingEpoch.Value,
        Degrees = view.Layout is { } layout ? Degrees(layout.Degrees) : null,
        Serves = !view.Replicas.IsDefaultOrEmpty,
        Nodes = Nodes(view, snapshot.At),
        Replicas = Replicas(view),
        IsLocal = local.IsLocal,
    };

    public static string Degrees(LayoutDegrees degrees) =>
        string.Create(CultureInfo.InvariantCulture, $"{degrees.Replicas},{degrees.Stages},{degrees.Ranks}");

    private ImmutableArray<NodeView> Nodes(PlannerView view, DateTimeOffset now)
    {
        foreach (var info in view.Nodes) _nodes[info.Node] = Node(view, info);
        var present = view.Nodes.Select(node => node.Node).ToHashSet(StringComparer.Ordinal);
        foreach (var (id, node) in _nodes.Where(node => !present.Contains(node.Key)).ToArray())
        {
            var goneAt = node.GoneAt ?? now;
            if (now - goneAt > GoneShown || _nodes.Count > present.Count + GoneMax) _nodes.Remove(id);
            else _nodes[id] = node with { State = NodeState.Gone, GoneAt = goneAt, CanBeKilled = false };
        }

        return [.. _nodes.Values.OrderBy(node => node.Number).ThenBy(node => node.Id, StringComparer.Ordinal)];
    }

    private NodeView Node(PlannerView view, NodeInfo info)
    {
        var machine = info.Machine;
        return new NodeView(
            info.Node,
            names.Of(info),
            names.NumberOf(info),
            StateOf(view, info.Node),
            string.Join(", ", info.Devices.Select(device => device.Description).Distinct()),
            Sizes.Text(info.Devices.Sum(device => device.MemoryBytes)),
            machine.InstanceType.Length == 0 ? null : machine.InstanceType,
            machine.Zone.Length == 0 ? null : machine.Zone,
            machine.IsSpot,
            machine.PricePerHour > 0 ? machine.PricePerHour : null,
            view.Leaving.TryGetValue(info.Node, out var deadline) ? deadline : null,
            local.Has(info));
    }

    private static NodeState StateOf(PlannerView view, string node)
    {
        if (view.Leaving.ContainsKey(node)) return NodeState.Leaving;
        if (view.Loading.Any(device => device.Device.Node == node && device.LoadedBytes < device.TotalBytes))
            return NodeState.Loading;
        return view.Layout is { } layout && layout.Uses(node) ? NodeState.Serving : NodeState.Spare;
    }

    private ImmutableArray<ReplicaView> Replicas(PlannerView view)
    {
        if (view.Layout is not { } layout || view.Model is not { } model) return [];
        if (_geometry is not { } known || !ReferenceEquals(known.Model, model))
            _geometry = known = (model, new SliceGeometry(model));
        var isServing = view.Epoch == view.ServingEpoch;
        return
        [
            .. Enumerable.Range(0, layout.Degrees.Replicas).Select(index =>
            {
                var load = isServing ? view.Loads.FirstOrDefault(report => report.Replica == index) : null;
                return new ReplicaView(
                    index,
                    isServing && view.Replicas.Any(replica => replica.Replica == index),
                    [
                        .. Enumerable.Range(0, layout.Degrees.Stages).Select(
                            stage => Stage(view, layout, known.Geometry, index, stage, load)),
                    ],
                    load?.Running ?? 0,
                    load?.Queued ?? 0,
                    load is null ? null : load.PageCount - load.FreePages,
                    load?.PageCount ?? 0);
            }),
        ];
    }

    private StageView Stage(
        PlannerView view, Layout layout, SliceGeometry geometry, int replica, int stage,
        ReplicaControlProtocol.ReplicaLoad? load)
    {
        var layers = layout.LayersOf(new Position(replica, stage, 0));
        var text = layers.Count == 1
            ? string.Create(CultureInfo.InvariantCulture, $"layer {layers.First}")
            : string.Create(CultureInfo.InvariantCulture, $"layers {layers.First} to {layers.End - 1}");
        return new StageView(stage, text,
        [
            .. Enumerable.Range(0, layout.Degrees.Ranks).Select(
                rank => Rank(view, layout, geometry, new Position(replica, stage, rank), load)),
        ]);
    }

    private RankView Rank(
        PlannerView view, Layout layout, SliceGeometry geometry, Position position,
        ReplicaControlProtocol.ReplicaLoad? load)
    {
        var device = layout.DeviceAt(position);
        var need = PositionNeed.Of(layout, position);
        var weights = geometry.NeedBytes(need);
        var progress = view.Loading.FirstOrDefault(loading => loading.Device == device);
        var loaded = progress is null || progress.TotalBytes == 0
            ? weights
            : (long)(weights * Math.Clamp((double)progress.LoadedBytes / progress.TotalBytes, 0, 1));
        var heads = (int)TensorSlices.KvHeads(geometry.Model, position.Rank, layout.Degrees.Ranks).Count;
        var page = geometry.KvBytes(KvPage.Tokens, layout.LayersOf(position).Count, heads);
        var isThere = view.Nodes.Any(node => node.Node == device.Node);
        return new RankView(
            position.Rank,
            device.ToString(),
            names.Of(device.Node),
            isThere ? StateOf(view, device.Node) : NodeState.Gone,
            weights,
            loaded,
            load is null ? 0 : page * (load.PageCount - load.FreePages),
            load is null ? 0 : page * load.PageCount);
    }
}
