using SpotServe.Actors.Planning;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>What replicas' reports teach of the cost model.</summary>
internal static class StepTimes
{
    /// <summary>Reports that are further apart say nothing of the load that is known now.</summary>
    private static readonly TimeSpan ReportsApartMax = TimeSpan.FromSeconds(5);

    /// <summary>Less of a replica's work than this is noise.</summary>
    private static readonly TimeSpan BusyMin = TimeSpan.FromSeconds(0.1);

    /// <summary>A replica's first work finds code that is not compiled and caches that are cold: a request that was the
    /// first on four ranks took three times what the next one did. In an hour it would be forgotten, but a layout that
    /// serves for a minute was expected a third too slow by it.</summary>
    private static readonly TimeSpan ColdTime = TimeSpan.FromSeconds(1);

    private const int TokensMin = 8;

    /// <summary>
    /// Between two reports a replica's requests ran for so long, all together, and got so many tokens. What that took
    /// has the prompts of its time in it, and so has what it is compared with: a request's whole time over its tokens,
    /// slowed by the others that were busy on the same processor.
    /// </summary>
    /// <returns>Null when the two reports say nothing.</returns>
    public static CostCorrections? Learned(
        Turn turn, LoadReport before, ReplicaControlProtocol.ReplicaLoad load)
    {
        var time = turn.Now - before.At;
        var tokens = load.TokensGenerated - before.Load.TokensGenerated;
        var (busyTime, taken) =
            (load.BusyTime - before.Load.BusyTime, load.SequenceTime - before.Load.SequenceTime);
        if (tokens < TokensMin || busyTime < BusyMin || time > ReportsApartMax) return null;
        if (IsCold(before.Load.BusyTime)) return null;
        var running = Math.Max(1, (int)Math.Round(taken / busyTime));
        if (!IsSteady(running, before.Load.Running, load.Running)) return null;
        var state = turn.State = DeviceSurvey.Ensure(turn.State, turn.Options);
        if (state.Active is not { } active || DecisionInputs.OfLoad(state, turn.Options, turn.Now) is not { } inputs
            || ShapeOf(state.Survey!, active.Layout, load.Replica) is not { } shape) return null;
        var predicted = (inputs with { Corrections = CostCorrections.None }).CostModel()
            .Cost(shape, running, inputs.Load, Batching.Continuous);
        var (slowdown, demand) = BesideOthers(active, load.Replica, shape, predicted, state.Survey!.DeviceCount);
        var each = predicted.Execution(inputs.Load.OutputTokens) / inputs.Load.OutputTokens * slowdown;
        var ratio = taken.TotalSeconds / tokens / each;
        return inputs.CostModel().With(new MeasuredTimes(
                shape,
                running,
                inputs.Load,
                Batching.Continuous,
                predicted.Step * ratio,
                predicted.Prefill * ratio,
                busyTime.TotalSeconds)
        {
            Demand = demand,
        })
            .Corrections;
    }

    /// <summary>
    /// Whether the mean number of requests that ran is about what ran all the time. Where none ran and then many came,
    /// half of them is the mean, though no step had that many, and the time went into their prompts: four ranks were
    /// expected ten times too slow with eight sequences, after bursts of sixteen.
    /// </summary>
    /// <param name="mean">While any ran.</param>
    /// <param name="first">At the first report.</param>
    public static bool IsSteady(int mean, int first, int last) =>
        Math.Max(Math.Abs(first - mean), Math.Abs(last - mean)) <= Math.Max(1, mean / 2);

    /// <param name="worked">What the replica had worked when the time began.</param>
    public static bool IsCold(TimeSpan worked) => worked < ColdTime;

    /// <summary>What the others that were busy on the same processors took of them, as each one's last report has it;
    /// devices with processors of their own have none, and nobody is counted for them.</summary>
    private static (double Slowdown, int Demand) BesideOthers(
        ActiveEpoch active, int replica, ReplicaShape shape, ReplicaCost predicted, int devices)
    {
        if (shape.Stages.All(stage => stage.Kind.Crowding <= 1)) return (1, 0);
        var degrees = active.Layout.Degrees;
        var busy = (1 + active.Loads.Where(one => one.Key != replica).Sum(one => one.Value.BusyShare))
            * degrees.Ranks * Math.Min(degrees.Stages, predicted.StepParts);
        var share = Math.Min(1, busy / devices);
        return (
            shape.Stages.Max(stage => stage.Kind.Slowdown(share)),
            ProcessorDemand.LevelOf(shape.Stages.Max(stage => stage.Kind.Demand(share))));
    }

    /// <summary>Null when a node of it has gone.</summary>
    private static ReplicaShape? ShapeOf(DeviceSurvey survey, Layout layout, int replica)
    {
        var kinds = survey.Kinds;
        var positions = layout.PositionsOf(replica).Where(position => position.Rank == 0).ToList();
        return positions.All(position => kinds.ContainsKey(layout.DeviceAt(position).Node))
            ? new ReplicaShape(
                [.. positions.Select(position => new StageShape(
                    layout.LayersOf(position).Count,
                    kinds[layout.DeviceAt(position).Node],
                    SpansInstances: layout.Spans(position)))],
                layout.Degrees.Ranks)
            : null;
    }
}
