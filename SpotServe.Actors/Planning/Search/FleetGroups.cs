using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Devices of one kind, counted: how many tensor groups of M they can form.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="PerInstance">Device counts of its instances, the largest first, each with how many instances have
/// it.</param>
internal sealed record KindFleet(DeviceKind Kind, ImmutableArray<(int Devices, int Instances)> PerInstance)
{
    public int DeviceCount => PerInstance.Sum(p => p.Devices * p.Instances);

    public int InstanceCount => PerInstance.Sum(p => p.Instances);

    public int DevicesMax => PerInstance.Max(p => p.Devices);

    /// <summary>
    /// Groups of M devices: inside one instance where M fits into one, across instances only where no instance is large
    /// enough. Devices that are left over in an instance stay spare rather than stretch a group over the network.
    /// </summary>
    public int GroupCount(int ranks)
    {
        var inside = 0;
        var small = 0;
        foreach (var (devices, instances) in PerInstance)
        {
            if (devices >= ranks) inside += devices / ranks * instances;
            else small += devices * instances;
        }

        return inside + (small / ranks);
    }

    /// <summary>Instances that this many groups of M occupy, packed as closely as they can be.</summary>
    public int InstancesFor(int groups, int ranks)
    {
        var used = 0;
        foreach (var (devices, instances) in PerInstance)
        {
            if (groups <= 0) break;
            var perInstance = devices / ranks;
            var take = perInstance > 0
                ? Math.Min(instances, (groups + perInstance - 1) / perInstance)
                : Math.Min(instances, ((groups * ranks) + devices - 1) / devices);
            used += take;
            groups -= perInstance > 0 ? take * perInstance : take * devices / ranks;
        }

        return used;
    }

    /// <summary>The fleet by kind, fastest first, equal rates by name.</summary>
    public static ImmutableArray<KindFleet> Of(IEnumerable<Instance> instances) =>
    [
        .. instances.GroupBy(instance => instance.Kind)
            .Select(kind => new KindFleet(kind.Key,
                [.. kind.GroupBy(i => i.DeviceCount).Select(same => (same.Key, same.Count()))
                    .OrderByDescending(p => p.Key)]))
            .OrderByDescending(fleet => fleet.Kind.WeightBytesPerSecond)
            .ThenBy(fleet => fleet.Kind.Name, StringComparer.Ordinal),
    ];
}
