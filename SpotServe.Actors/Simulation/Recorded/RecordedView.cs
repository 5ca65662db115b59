using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Simulation;

/// <summary>What is new in each view that a planner shows, as lines of a recording. Not thread-safe.</summary>
public sealed class RecordedView
{
    /// <summary>A planner that starts knows no nodes; they report within this time.</summary>
    private const double NewPlannerSeconds = 5;

    private readonly Dictionary<string, NodeInfo> _nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DateTimeOffset> _leaving = new(StringComparer.Ordinal);
    private readonly Dictionary<int, ReplicaControlProtocol.ReplicaLoad> _loads = [];
    private ClusterProtocol.PlannerView? _before;
    private double _goneCountsFrom;

    /// <param name="view">Not older than the one before.</param>
    /// <param name="seconds">Since the recording began.</param>
    /// <param name="now">The same instant, as deadlines are told.</param>
    public IEnumerable<RecordedEntry> New(ClusterProtocol.PlannerView view, double seconds, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(view);
        if (_before is { } before && before.Term != view.Term) _goneCountsFrom = seconds + NewPlannerSeconds;
        var entries = new List<RecordedEntry>();
        if (view.Model is { } model && _before?.Model is null)
            entries.Add(new RecordedEntry.ModelKnown(seconds, model));
        Nodes(view, seconds, now, entries);
        if (view.Layout is { } layout && view.Epoch != Epoch.None && view.Epoch != _before?.Epoch)
            entries.Add(new RecordedEntry.Decided(seconds, view.Epoch.Value, layout));
        Loads(view, seconds, entries);
        if (view.Latest is { } latest && !ReferenceEquals(latest, _before?.Latest))
            entries.Add(new RecordedEntry.Changed(seconds, latest));
        _before = view;
        return entries;
    }

    private void Nodes(
        ClusterProtocol.PlannerView view, double seconds, DateTimeOffset now, List<RecordedEntry> entries)
    {
        foreach (var node in view.Nodes)
        {
            if (_nodes.TryGetValue(node.Node, out var known)
                && (ReferenceEquals(known, node) || IsSame(known, node))) continue;
            _nodes[node.Node] = node;
            // What tells of the secret, or of this machine's processes, is nobody's business later on.
            entries.Add(new RecordedEntry.NodeSeen(
                seconds, node with { SecretMark = "", ProcessId = null, EncryptsData = false }));
        }

        foreach (var (node, deadline) in view.Leaving.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            if (!_leaving.TryAdd(node, deadline)) continue;
            entries.Add(new RecordedEntry.NodeNoticed(seconds, node, seconds + (deadline - now).TotalSeconds));
        }

        if (seconds < _goneCountsFrom) return;
        var present = view.Nodes.Select(node => node.Node).ToHashSet(StringComparer.Ordinal);
        foreach (var node in _nodes.Keys.Where(node => !present.Contains(node)).Order(StringComparer.Ordinal).ToList())
        {
            _nodes.Remove(node);
            _leaving.Remove(node);
            entries.Add(new RecordedEntry.NodeGone(seconds, node));
        }
    }

    private void Loads(ClusterProtocol.PlannerView view, double seconds, List<RecordedEntry> entries)
    {
        if (_before?.ServingEpoch != view.ServingEpoch) _loads.Clear();
        foreach (var load in view.Loads)
        {
            if (_loads.TryGetValue(load.Replica, out var known) && known.Steps == load.Steps
                && known.Running == load.Running && known.Queued == load.Queued) continue;
            _loads[load.Replica] = load;
            entries.Add(new RecordedEntry.Loaded(
                seconds, load.Epoch.Value, load.Replica, load.Queued, load.Running, load.Steps, load.TokensGenerated));
        }
    }

    private static bool IsSame(NodeInfo known, NodeInfo node) =>
        known with { Devices = node.Devices } == node && known.Devices.SequenceEqual(node.Devices);
}
