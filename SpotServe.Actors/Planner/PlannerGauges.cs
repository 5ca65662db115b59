using System.Diagnostics.Metrics;

namespace SpotServe.Actors.Planner;

/// <summary>What a planner's gauges show of its state. Called once a second, not with each step.</summary>
internal static class PlannerGauges
{
    private static readonly string[] DeviceStates = ["serving", "idle", "leaving"];

    public static double Replicas(PlannerState state) => ServingOf(state)?.Replicas.Count ?? 0;

    public static double PricePerHour(PlannerState state) =>
        state.Nodes.Values.Sum(node => node.Info.Machine.PricePerHour);

    public static IEnumerable<Measurement<double>> Degrees(PlannerState state)
    {
        if (ServingOf(state) is not { Layout.Degrees: var degrees }) return [];
        return
        [
            new(degrees.Replicas, Tag("axis", "replicas")),
            new(degrees.Stages, Tag("axis", "stages")),
            new(degrees.Ranks, Tag("axis", "ranks")),
            new(degrees.BatchSize, Tag("axis", "batch")),
        ];
    }

    public static IEnumerable<Measurement<double>> Devices(PlannerState state)
    {
        var serving = ServingOf(state);
        var used = serving?.Layout.Placement.Where(serving.IsAlive).ToHashSet() ?? [];
        var counts = state.Nodes.Values
            .SelectMany(node => node.Info.Devices.Select(device =>
                state.Leaving.ContainsKey(node.Info.Node) ? "leaving"
                : used.Contains(new DeviceId(node.Info.Node, device.Index)) ? "serving"
                : "idle"))
            .CountBy(name => name)
            .ToDictionary();
        return DeviceStates.Select(
            name => new Measurement<double>(counts.GetValueOrDefault(name), Tag("state", name)));
    }

    public static IEnumerable<Measurement<double>> Nodes(PlannerState state)
    {
        var leaving = state.Nodes.Keys.Count(state.Leaving.ContainsKey);
        return
        [
            new(state.Nodes.Count - leaving, Tag("state", "staying")),
            new(leaving, Tag("state", "leaving")),
        ];
    }

    private static ActiveEpoch? ServingOf(PlannerState state) =>
        state.Active is { IsServing: true } active ? active : null;

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}
