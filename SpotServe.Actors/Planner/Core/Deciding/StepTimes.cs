using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>What replicas' reports teach of the cost model.</summary>
internal static class StepTimes
{
    private static readonly TimeSpan ReportsApartMin = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan ReportsApartMax = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Between two reports a replica that was busy all the time gave each of its sequences so many tokens. What that
    /// took has the prompts of its time in it, and so has what it is compared with: a request's whole time over its
    /// tokens, slowed by the others that were busy on the same processor.
    /// </summary>
    /// <returns>Null when the two reports say nothing.</returns>
    public static CostCorrections? Learned(
        Turn turn, LoadReport before, ReplicaControlProtocol.ReplicaLoad load)
    {
        var state = turn.State;
        var time = turn.Now - before.At;
        var tokens = load.TokensGenerated - before.Load.TokensGenerated;
        var running = Math.Min(before.Load.Running, load.Running);
        if (running < 1 || tokens < running || time < ReportsApartMin || time > ReportsApartMax
            || running * 2 < Math.Max(before.Load.Running, load.Running)) return null;
        if (state.Active is not { } active || DecisionInputs.Of(state, turn.Options, turn.Now) is not { } inputs
            || ShapeOf(state, active.Layout, load.Replica) is not { } shape) return null;
        var predicted = (inputs with { Corrections = CostCorrections.None }).CostModel()
            .Cost(shape, running, inputs.Load, Batching.Continuous);
        var degrees = active.Layout.Degrees;
        var busy = active.Loads.Values.Count(report => report.Load.Running > 0)
            * degrees.Ranks * Math.Min(degrees.Stages, predicted.StepParts);
        var devices = state.Nodes.Values.Sum(node => node.Info.Devices.Length);
        var slowdown = shape.Stages.Max(stage => stage.Kind.Slowdown(Math.Min(1, busy / (double)devices)));
        var each = predicted.Execution(inputs.Load.OutputTokens) / inputs.Load.OutputTokens * slowdown;
        var ratio = running * time.TotalSeconds / tokens / each;
        return inputs.CostModel().With(new MeasuredTimes(
                shape, running, inputs.Load, Batching.Continuous, predicted.Step * ratio, predicted.Prefill * ratio))
            .Corrections;
    }

    /// <summary>Null when a node of it has gone.</summary>
    private static ReplicaShape? ShapeOf(PlannerState state, Layout layout, int replica)
    {
        var kinds = DeviceKinds.InstancesOf(
                [.. state.Nodes.Values.Select(node => node.Info).Where(node => !node.Devices.IsEmpty)])
            .ToDictionary(instance => instance.Node, instance => instance.Kind);
        var positions = layout.Positions
            .Where(position => position.Replica == replica && position.Rank == 0)
            .ToList();
        return positions.All(position => kinds.ContainsKey(layout.DeviceAt(position).Node))
            ? new ReplicaShape(
                [.. positions.Select(position => new StageShape(
                    layout.LayersOf(position).Count,
                    kinds[layout.DeviceAt(position).Node],
                    SpansInstances: layout.Degrees.Ranks > 1))],
                layout.Degrees.Ranks)
            : null;
    }
}
