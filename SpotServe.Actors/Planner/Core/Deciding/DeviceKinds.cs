using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>Nodes as instances with device kinds: what their devices measured, averaged over those of one model, so
/// that the noise of probes does not make each of them a kind of its own.</summary>
internal static class DeviceKinds
{
    /// <summary>Of a device that has measured nothing: measured step times correct what is estimated from it.</summary>
    private static readonly DeviceSpeed Unmeasured = new("device", 2e10, 2e11, 2e-5);

    public static IEnumerable<Instance> InstancesOf(IReadOnlyCollection<NodeInfo> nodes)
    {
        // Devices of one machine, whichever process they belong to, share its processor.
        var crowding = nodes.GroupBy(HostOf).ToDictionary(
            host => host.Key, host => host.Sum(node => node.Devices.Sum(ShareOf)), StringComparer.Ordinal);
        var kinds = nodes.GroupBy(NameOf).ToDictionary(
            group => group.Key,
            group => KindOf(group.Key, [.. group]) with
            {
                Crowding = group.Any(node => node.Devices.Any(device => ShareOf(device) > 0))
                    ? group.Max(node => crowding[HostOf(node)])
                    : 0,
            });
        return nodes.Select(node => new Instance(node.Node, kinds[NameOf(node)], node.Devices.Length)
        {
            // A node that has lost a device has a gap in the numbers that it reports.
            Indices = [.. node.Devices.Select(device => device.Index)],
            Host = HostOf(node),
            InstanceType = node.Machine.InstanceType,
            IsSpot = node.Machine.IsSpot,
            MemoryBytes = node.Devices.Min(device => device.MemoryBytes),
        });
    }

    /// <summary>The machine, by the address that its data plane listens on: nodes of one machine share it, and those of
    /// containers, with cores of their own, do not.</summary>
    public static string HostOf(NodeInfo node)
    {
        var port = node.Endpoint.LastIndexOf(':');
        return port < 0 ? node.Endpoint : node.Endpoint[..port];
    }

    /// <summary>A node's own word is checked.</summary>
    private static double ShareOf(DeviceInfo device) => device.ProcessorShare is > 0 and <= 1
        ? device.ProcessorShare
        : 0;

    /// <summary>Devices with the same name may differ in the memory that they are given.</summary>
    private static string NameOf(NodeInfo node)
    {
        var memory = node.Devices.Min(device => device.MemoryBytes);
        var speed = SpeedOf(node);
        // Two digits: the memory of equal machines differs by a little.
        var digit = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(1, memory))) - 1);
        var rounded = (long)(Math.Round(memory / digit) * digit);
        return $"{speed.Model} {Sizes.Text(rounded)} {node.Machine.InstanceType}".TrimEnd();
    }

    /// <summary>A node's own word is checked: what cannot be planned with counts as not measured.</summary>
    private static DeviceSpeed SpeedOf(NodeInfo node) =>
        node.Devices[0].Speed is { } speed && speed.IsUsable() ? speed : Unmeasured;

    private static DeviceKind KindOf(string name, IReadOnlyCollection<NodeInfo> nodes)
    {
        var speeds = nodes.Select(SpeedOf).ToList();
        return new DeviceKind(
            name,
            nodes.Min(node => node.Devices.Min(device => device.MemoryBytes)),
            speeds.Average(speed => speed.WeightBytesPerSecond),
            speeds.Average(speed => speed.FlopsPerSecond),
            speeds.Average(speed => speed.LayerOverheadSeconds),
            nodes.Average(node => node.Machine.PricePerHour / node.Devices.Length));
    }
}
