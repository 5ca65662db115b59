using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What the nodes that are there say of themselves, as decisions take it. Nodes say the same twice a second,
/// and decisions are thought over as often: this is made anew only where one of them came, went or said something
/// else.</summary>
/// <param name="Instances">Nodes that a layout may use.</param>
/// <param name="DiskNodes">Their names.</param>
/// <param name="Kinds">Of all nodes with devices, those that leave included.</param>
/// <param name="DeviceCount">Of all nodes.</param>
internal sealed record DeviceSurvey(
    ImmutableArray<Instance> Instances,
    MeasuredLinks Links,
    ImmutableHashSet<string> DiskNodes,
    IReadOnlyDictionary<string, DeviceKind> Kinds,
    int DeviceCount)
{
    private long _roster;
    private ImmutableSortedDictionary<string, Departure>? _leaving;
    private ImmutableSortedSet<string>? _leftOut;

    /// <summary>The instances, counted by kind.</summary>
    public CountedFleet Counted { get; } = new(Instances);

    /// <summary>The state with its survey.</summary>
    public static PlannerState Ensure(PlannerState state, PlannerOptions options) =>
        state.Survey?.IsOf(state) == true ? state : state with { Survey = Of(state, options) };

    private static DeviceSurvey Of(PlannerState state, PlannerOptions options)
    {
        var staying = state.Staying;
        return new DeviceSurvey(
            [.. DeviceKinds.InstancesOf(staying)],
            MeasuredLinks.From(options, staying),
            [.. staying.Select(node => node.Node)],
            DeviceKinds.InstancesOf(
                [.. state.Nodes.Values.Select(node => node.Info).Where(node => !node.Devices.IsEmpty)])
                .ToDictionary(instance => instance.Node, instance => instance.Kind, StringComparer.Ordinal),
            state.Nodes.Values.Sum(node => node.Info.Devices.Length))
        {
            _roster = state.Roster,
            _leaving = state.Leaving,
            _leftOut = state.LeftOut,
        };
    }

    private bool IsOf(PlannerState state) => _roster == state.Roster
        && ReferenceEquals(_leaving, state.Leaving) && ReferenceEquals(_leftOut, state.LeftOut);
}
