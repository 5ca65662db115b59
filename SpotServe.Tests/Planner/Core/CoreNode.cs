using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Planner.Core;

/// <summary>A node as the core hears it: it does what it is told at once, says so, and repeats what it was not heard
/// in, as real ones do.</summary>
internal sealed class CoreNode(string name, int devices, long memoryBytes)
{
    private readonly Dictionary<(Epoch Epoch, DeviceId Device), HeldPosition> _positions = [];
    private readonly Dictionary<DeviceId, ImmutableArray<WeightSlice>> _weights = [];

    public string Name => name;

    public CoreAddress Address { get; } = new($"node {name}", name);

    public bool IsAlive { get; set; } = true;

    /// <summary>When its cloud takes it away; null when it stays.</summary>
    public DateTimeOffset? Deadline { get; set; }

    /// <summary>When it goes of its own accord; it says so to nobody but the membership.</summary>
    public DateTimeOffset? LeavesAt { get; set; }

    public SourceRates? Rates { get; set; }

    /// <summary>Failures that the planner has not answered.</summary>
    public Dictionary<(Epoch Epoch, DeviceId Device), DeviceFailed> Failures { get; } = [];

    public NodeInfo Info => new(
        name,
        $"{name}/data",
        [.. Enumerable.Range(0, devices).Select(index => new DeviceInfo(index, "cpu", memoryBytes))])
    {
        Rates = Rates,
    };

    public IEnumerable<(Epoch Epoch, DeviceId Device)> Running => _positions
        .Where(entry => entry.Value.IsRunning)
        .Select(entry => entry.Key);

    /// <summary>What it sends twice a second.</summary>
    public IEnumerable<object> Reports()
    {
        yield return new PlannerInputs.NodeReported(Info, TestModels.Small, Address);
        if (Deadline is { } deadline) yield return new NodeNotice(name, deadline, "file");
        foreach (var failed in Failures.Values) yield return failed;
    }

    public PlannerInputs.HoldingsReported Holdings(long round) => new(
        round,
        name,
        [.. Info.Devices.Select(info => new DeviceId(name, info.Index)).Select(device => new HeldDevice(
            device,
            _weights.GetValueOrDefault(device, []),
            [.. _positions.Where(entry => entry.Key.Device == device).Select(entry => entry.Value)]))]);

    public void Prepare(PreparePosition order)
    {
        var assignment = order.Order.Assignment;
        _positions.TryAdd((order.Epoch, order.Device), new HeldPosition(order.Epoch, assignment, false, null));
        var need = new PositionNeed(
            assignment.Layers, assignment.Position.Rank, assignment.RankCount, assignment.IsFirst, assignment.IsLast);
        _weights[order.Device] = [.. new SliceGeometry(TestModels.Small).Need(need)];
    }

    /// <returns>False when it was never told to prepare this.</returns>
    public bool Connect(Epoch epoch, DeviceId device, CoreAddress? leader)
    {
        var key = (epoch, device);
        if (Failures.ContainsKey(key) || !_positions.TryGetValue(key, out var held)) return false;
        _positions[key] = held with { IsRunning = true, Leader = leader ?? held.Leader };
        return true;
    }

    /// <returns>Whether it ran.</returns>
    public bool Release(Epoch epoch, DeviceId device)
    {
        Failures.Remove((epoch, device));
        return _positions.Remove((epoch, device), out var held) && held.IsRunning;
    }

    public void Fail(DeviceFailed failed)
    {
        if (!_positions.TryGetValue((failed.Epoch, failed.Device), out var held)) return;
        _positions[(failed.Epoch, failed.Device)] = held with { IsRunning = false, Leader = null };
        Failures.TryAdd((failed.Epoch, failed.Device), failed);
    }
}
