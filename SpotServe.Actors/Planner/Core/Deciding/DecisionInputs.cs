using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>What nodes and replicas said, when they were last asked, that they hold.</summary>
/// <param name="Devices">Of every node that answered, those that leave included.</param>
/// <param name="Caches">The requests in the caches of the serving replicas that are whole.</param>
internal sealed record HeardHoldings(ImmutableArray<HeldDevice> Devices, ImmutableArray<ReplicaCache> Caches)
{
    public static HeardHoldings None { get; } = new([], []);
}

/// <summary>The latest decision.</summary>
internal sealed record PlannedChange(Epoch Epoch, PlanningInputs Inputs, MigrationPlan Migration);

/// <summary>The planner's state as the one decision takes it.</summary>
internal static class DecisionInputs
{
    /// <returns>Null while no node has reported.</returns>
    public static PlanningInputs? Of(PlannerState state, PlannerOptions options, DateTimeOffset now)
    {
        if (OfLoad(state, options, now) is not { } inputs) return null;
        var serving = state.Active is { IsServing: true } active ? active.Serving : null;
        return inputs with
        {
            Holdings = [.. state.Heard.Devices.Select(
                held => new Holding(held.Device, held.Weights, CachesOf(inputs.Model, serving, held)))],
            Caches = serving is null ? [] : state.Heard.Caches,
        };
    }

    /// <summary>Without what devices hold: what a layout is chosen from, and no more.</summary>
    /// <returns>Null while no node has reported.</returns>
    public static PlanningInputs? OfLoad(PlannerState state, PlannerOptions options, DateTimeOffset now)
    {
        if (state.Model is not { } model) return null;
        var survey = DeviceSurvey.Ensure(state, options).Survey!;
        var serving = state.Active is { IsServing: true } active ? active.Serving : null;
        return new PlanningInputs(
            model, survey.Instances, Demand.Planned(state, options, now), survey.Links.Usual)
        {
            Counted = survey.Counted,
            LinksOf = survey.Links.Of,
            Profile = options.Profile,
            Corrections = state.Learned,
            Search = state.Objective is { } objective ? SearchOf(options, objective) : null,
            Margin = options.Follow.Margin,
            Wanted = state.Wanted,
            SequencesMax = options.SequencesMax,
            WorkingBytes = options.WorkingBytes,
            Serving = serving is null ? null : new ServingLayout(serving.Layout, serving.Pages),
            Leaving = state.Leaving.ToImmutableDictionary(
                leaving => leaving.Key,
                leaving => leaving.Value.Deadline > now ? leaving.Value.Deadline - now : TimeSpan.Zero),
            DiskNodes = survey.DiskNodes,
            Mode = options.Mode,
        };
    }

    private static SearchOptions SearchOf(PlannerOptions options, LayoutObjective objective) => new()
    {
        Objective = objective.Kind,
        BatchSizes = [options.SequencesMax],
        MigrationBufferBytes = options.WorkingBytes,
        SloTarget = objective.SloTarget,
        SloProbability = objective.SloShare,
        Headroom = options.Follow.Headroom,
    };

    /// <summary>Pages of the serving epoch only: those of any other are of no use to anyone.</summary>
    private static ImmutableArray<CacheSlice> CachesOf(ModelSpec model, ServingEpoch? serving, HeldDevice held)
    {
        if (serving is null) return [];
        return
        [
            .. held.Positions.Where(position => position.IsRunning && position.Epoch == serving.Epoch).Select(report =>
            {
                var position = report.Assignment.Position;
                var heads = TensorSlices.KvHeads(model, position.Rank, serving.Layout.Degrees.Ranks);
                return new CacheSlice(
                    position.Replica, report.Assignment.Layers, (int)heads.First, (int)heads.End);
            }),
        ];
    }
}
