using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Cluster;

/// <summary>
/// Devices as the mapper numbers them: each node's from 0 on without a gap. A node that has lost a device has one in
/// the numbers that it reports.
/// </summary>
internal sealed class DeviceNumbers
{
    private readonly Dictionary<DeviceId, DeviceId> _dense = [];
    private readonly Dictionary<DeviceId, DeviceId> _reported = [];

    public DeviceNumbers(ImmutableArray<NodeInfo> nodes)
    {
        foreach (var node in nodes)
        {
            for (var i = 0; i < node.Devices.Length; i++)
            {
                var (reported, dense) = (new DeviceId(node.Node, node.Devices[i].Index), new DeviceId(node.Node, i));
                _dense.Add(reported, dense);
                _reported.Add(dense, reported);
            }
        }
    }

    /// <summary>A device that is not there any more keeps a number that no other has.</summary>
    public DeviceId Dense(DeviceId reported) => _dense.TryGetValue(reported, out var dense) ? dense
        : _reported.ContainsKey(reported) ? reported with { Index = int.MaxValue - reported.Index }
        : reported;

    public Layout Dense(Layout layout) => layout with { Placement = [.. layout.Placement.Select(Dense)] };

    public Layout Reported(Layout layout) =>
        layout with { Placement = [.. layout.Placement.Select(device => _reported[device])] };
}
