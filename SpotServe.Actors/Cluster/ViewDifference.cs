using System.Collections.Immutable;
using SpotServe.Actors.Replica;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Actors.Cluster;

/// <summary>What has to be said of a view to whoever knows the one before it (docs/adr/0038): an event of one device
/// costs the bytes of that device, not those of the cluster.</summary>
internal static class ViewDifference
{
    /// <returns>Null when only the whole view says it: something that was known is known no more.</returns>
    public static ViewChange? Between(PlannerView before, PlannerView after)
    {
        if (before.Term != after.Term || IsForgotten(before.Model, after.Model)
            || IsForgotten(before.Layout, after.Layout) || IsForgotten(before.Latest, after.Latest)) return null;
        return new ViewChange(
            after.Term, before.Number, after.Number, after.Epoch, after.Phase, after.StatusLine, after.ServingEpoch)
        {
            Model = before.Model?.Fingerprint == after.Model?.Fingerprint ? null : after.Model,
            Layout = IsSame(before.Layout, after.Layout) ? null : after.Layout,
            Latest = before.Latest?.Epoch == after.Latest?.Epoch ? null : after.Latest,
            Replicas = Changed(before.Replicas, after.Replicas, replica => replica.Replica, (a, b) => a == b),
            ReplicasGone = Gone(before.Replicas, after.Replicas, replica => replica.Replica),
            Nodes = Changed(before.Nodes, after.Nodes, node => node.Node, IsSame),
            NodesGone = Gone(before.Nodes, after.Nodes, node => node.Node),
            Loading = Changed(before.Loading, after.Loading, progress => progress.Device, (a, b) => a == b),
            LoadingGone = Gone(before.Loading, after.Loading, progress => progress.Device),
            Loads = Changed(before.Loads, after.Loads, load => load.Replica, IsSame),
            LoadsGone = Gone(before.Loads, after.Loads, load => load.Replica),
            Leaving = [.. after.Leaving.Where(node =>
                    !before.Leaving.TryGetValue(node.Key, out var known) || known != node.Value)
                .Select(node => new LeavingNode(node.Key, node.Value))],
            LeavingGone = [.. before.Leaving.Keys.Where(node => !after.Leaving.ContainsKey(node))],
        };
    }

    /// <summary>Whether a change says anything but its number.</summary>
    public static bool IsEmpty(ViewChange change, PlannerView before) =>
        change.Epoch == before.Epoch && change.Phase == before.Phase && change.StatusLine == before.StatusLine
        && change.ServingEpoch == before.ServingEpoch && change is { Model: null, Layout: null, Latest: null }
        && change.Replicas.IsEmpty && change.ReplicasGone.IsEmpty && change.Nodes.IsEmpty && change.NodesGone.IsEmpty
        && change.Loading.IsEmpty && change.LoadingGone.IsEmpty && change.Loads.IsEmpty && change.LoadsGone.IsEmpty
        && change.Leaving.IsEmpty && change.LeavingGone.IsEmpty;

    /// <summary>The view after a change.</summary>
    /// <param name="view">Of the change's term and <see cref="ViewChange.From"/>.</param>
    public static PlannerView Apply(PlannerView view, ViewChange change)
    {
        Invariant.Holds(view.Term == change.Term);
        Invariant.Holds(view.Number == change.From);
        return view with
        {
            Number = change.To,
            Epoch = change.Epoch,
            Phase = change.Phase,
            StatusLine = change.StatusLine,
            ServingEpoch = change.ServingEpoch,
            Model = change.Model ?? view.Model,
            Layout = change.Layout ?? view.Layout,
            Latest = change.Latest ?? view.Latest,
            Replicas = Merge(
                view.Replicas, change.Replicas, change.ReplicasGone, replica => replica.Replica,
                Comparer<int>.Default),
            Nodes = Merge(
                view.Nodes, change.Nodes, change.NodesGone, node => node.Node, StringComparer.Ordinal),
            Loading = MergeLoading(view.Loading, change),
            Loads = Merge(view.Loads, change.Loads, change.LoadsGone, load => load.Replica, Comparer<int>.Default),
            Leaving = view.Leaving.RemoveRange(change.LeavingGone)
                .SetItems(change.Leaving.Select(node => KeyValuePair.Create(node.Node, node.Deadline))),
        };
    }

    private static bool IsForgotten(object? before, object? after) => before is not null && after is null;

    private static bool IsSame(Layout? one, Layout? other) =>
        ReferenceEquals(one, other) || (one is not null && other is not null && one.IsSameAs(other));

    /// <summary>Reports come with arrays of their own, which are not equal as such.</summary>
    private static bool IsSame(NodeInfo one, NodeInfo other) =>
        one with { Devices = other.Devices } == other && one.Devices.SequenceEqual(other.Devices);

    private static bool IsSame(ReplicaControlProtocol.ReplicaLoad one, ReplicaControlProtocol.ReplicaLoad other) =>
        one with { Resumed = other.Resumed } == other && one.Resumed.SequenceEqual(other.Resumed);

    private static ImmutableArray<T> Changed<T, TKey>(
        ImmutableArray<T> before, ImmutableArray<T> after, Func<T, TKey> key, Func<T, T, bool> isSame)
        where TKey : notnull
    {
        var known = before.ToDictionary(key);
        return [.. after.Where(item => !known.TryGetValue(key(item), out var old) || !isSame(old, item))];
    }

    private static ImmutableArray<TKey> Gone<T, TKey>(
        ImmutableArray<T> before, ImmutableArray<T> after, Func<T, TKey> key)
    {
        var left = after.Select(key).ToHashSet();
        return [.. before.Select(key).Where(known => !left.Contains(known))];
    }

    /// <summary>In the order of their keys, as the planner has them.</summary>
    private static ImmutableArray<T> Merge<T, TKey>(
        ImmutableArray<T> before,
        ImmutableArray<T> changed,
        ImmutableArray<TKey> gone,
        Func<T, TKey> key,
        IComparer<TKey> order)
        where TKey : notnull
    {
        if (changed.IsEmpty && gone.IsEmpty) return before;
        var over = changed.Select(key).Concat(gone).ToHashSet();
        return [.. before.Where(item => !over.Contains(key(item))).Concat(changed).OrderBy(key, order)];
    }

    /// <summary>In the order of the layout's positions.</summary>
    private static ImmutableArray<DeviceProgress> MergeLoading(ImmutableArray<DeviceProgress> before, ViewChange change)
    {
        if (change.Loading.IsEmpty && change.LoadingGone.IsEmpty) return before;
        var over = change.Loading.Select(progress => progress.Device).Concat(change.LoadingGone).ToHashSet();
        return
        [
            .. before.Where(progress => !over.Contains(progress.Device)).Concat(change.Loading)
                .OrderBy(progress => progress.Position.Replica)
                .ThenBy(progress => progress.Position.Stage)
                .ThenBy(progress => progress.Position.Rank),
        ];
    }
}
