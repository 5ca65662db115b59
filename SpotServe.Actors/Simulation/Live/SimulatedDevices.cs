using System.Collections.Immutable;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Simulation;

/// <summary>What the simulated devices hold, and how long it takes them to get what a layout needs: transfers share
/// each node's links, in the order in which they are asked for.</summary>
internal sealed class SimulatedDevices(SliceGeometry geometry, LinkRates links)
{
    private readonly Dictionary<DeviceId, Device> _devices = [];
    private readonly Dictionary<(string Node, NodeLink Link), double> _free = [];

    /// <summary>Bytes that were moved so far, between devices and from disks.</summary>
    public long MovedBytes { get; private set; }

    public void Add(DeviceId device) => _devices.Add(device, new Device());

    public void Remove(IEnumerable<DeviceId> devices)
    {
        foreach (var device in devices) _devices.Remove(device);
    }

    public bool Has(DeviceId device) => _devices.ContainsKey(device);

    /// <summary>What a node answers when the planner asks.</summary>
    public ImmutableArray<HeldDevice> Held(IEnumerable<DeviceId> devices, Func<Epoch, int, IAddress?> leaderOf) =>
    [
        .. devices.Where(_devices.ContainsKey).Select(id => new HeldDevice(
            id,
            [.. _devices[id].Weights],
            [
                .. _devices[id].Positions.Values.Select(position => new HeldPosition(
                    position.Assignment.Epoch, position.Assignment, position.IsRunning,
                    position.Assignment.Position is { Stage: 0, Rank: 0 } lead
                        ? leaderOf(position.Assignment.Epoch, lead.Replica)
                        : null)),
            ])),
    ];

    /// <summary>Gets a position's weights.</summary>
    /// <returns>When they are there; null when that is under way or done.</returns>
    public double? Prepare(DeviceId id, PreparationOrder order, double now)
    {
        var device = _devices[id];
        var assignment = order.Assignment;
        if (device.Positions.ContainsKey(assignment.Epoch)) return null;
        device.Positions.Add(assignment.Epoch, new HeldAssignment(assignment));
        var need = new PositionNeed(
            assignment.Layers, assignment.Position.Rank, assignment.RankCount, assignment.IsFirst, assignment.IsLast);
        var missing = geometry.NeedBytes(need) - geometry.ReuseBytes(need, device.Weights);
        var fromPeers = 0L;
        var ready = now;
        foreach (var piece in order.Weights.Where(piece => _devices.ContainsKey(piece.From)))
        {
            var bytes = geometry.Bytes(piece.Slice);
            fromPeers += bytes;
            ready = Math.Max(ready, Transfer(piece.From.Node, id.Node, bytes, now));
        }

        var fromDisk = Math.Max(0, missing - fromPeers);
        if (fromDisk > 0) ready = Math.Max(ready, Take((id.Node, NodeLink.Disk), fromDisk / links.Disk, now));
        MovedBytes += fromPeers + fromDisk;
        return ready;
    }

    /// <summary>The position's weights are there.</summary>
    public void Prepared(DeviceId id, StageAssignment assignment)
    {
        if (!_devices.TryGetValue(id, out var device) || !device.Positions.ContainsKey(assignment.Epoch)) return;
        var need = new PositionNeed(
            assignment.Layers, assignment.Position.Rank, assignment.RankCount, assignment.IsFirst, assignment.IsLast);
        foreach (var slice in geometry.Need(need).Where(slice => !device.Weights.Contains(slice)))
            device.Weights.Add(slice);
    }

    public void Connected(DeviceId id, Epoch epoch)
    {
        if (_devices.TryGetValue(id, out var device) && device.Positions.TryGetValue(epoch, out var position))
            device.Positions[epoch] = position with { IsRunning = true };
    }

    /// <param name="trim">Whether weights that no position uses go, too.</param>
    public void Release(DeviceId id, Epoch epoch, bool trim)
    {
        if (!_devices.TryGetValue(id, out var device)) return;
        device.Positions.Remove(epoch);
        if (!trim) return;
        device.Weights.Clear();
        foreach (var position in device.Positions.Values) Prepared(id, position.Assignment);
    }

    /// <summary>When pages have gone from one node to another.</summary>
    public double Transfer(string from, string to, long bytes, double now)
    {
        if (from == to) return Take((to, NodeLink.Within), bytes / links.IntraNode, now);
        var start = Math.Max(now, Math.Max(FreeAt((from, NodeLink.Out)), FreeAt((to, NodeLink.In))));
        var end = start + links.LatencySeconds + (bytes / links.InterNode);
        _free[(from, NodeLink.Out)] = end;
        _free[(to, NodeLink.In)] = end;
        return end;
    }

    /// <summary>Pages that were copied between devices.</summary>
    public void Moved(long bytes) => MovedBytes += bytes;

    private double Take((string Node, NodeLink Link) link, double seconds, double now) =>
        _free[link] = Math.Max(now, FreeAt(link)) + links.LatencySeconds + seconds;

    private double FreeAt((string Node, NodeLink Link) link) => _free.GetValueOrDefault(link);

    private sealed class Device
    {
        public List<WeightSlice> Weights { get; } = [];

        public SortedDictionary<Epoch, HeldAssignment> Positions { get; } = [];
    }

    private sealed record HeldAssignment(StageAssignment Assignment)
    {
        public bool IsRunning { get; init; }
    }
}
