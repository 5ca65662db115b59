using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Instances, counted by kind: what a search for layouts needs of them. Who plans looks for a better layout
/// each second, and the fleet is seldom another one: it is checked and counted once.</summary>
internal sealed class CountedFleet
{
    private readonly ImmutableArray<Instance> _instances;
    private ImmutableArray<KindFleet>? _kinds;
    private bool _isUsable;

    public CountedFleet(ImmutableArray<Instance> instances)
    {
        _instances = instances;
        DeviceCount = instances.Sum(instance => instance.DeviceCount);
    }

    public int InstanceCount => _instances.Length;

    public int DeviceCount { get; }

    /// <summary>Fastest first.</summary>
    public ImmutableArray<KindFleet> Kinds => _kinds ??= KindFleet.Of(_instances);

    /// <summary>Whether devices differ, so that stages are cut for their kinds.</summary>
    public bool IsMixed => Kinds.Select(fleet => fleet.Kind.Name).Distinct(StringComparer.Ordinal).Skip(1).Any();

    /// <exception cref="PlanningException">It is not usable; the message names the instance.</exception>
    public void Require()
    {
        if (_isUsable) return;
        Instance.Require(_instances);
        _isUsable = true;
    }
}
