using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Planner;

/// <summary>An epoch that serves.</summary>
/// <param name="Pages">KV pages of each replica.</param>
internal sealed record ServingEpoch(Epoch Epoch, Layout Layout, ImmutableArray<int> Pages);

/// <summary>A reconfiguration as its executors are told of it.</summary>
/// <param name="Orders">Weights that a device fetches from peers; what is not listed it has or reads from
/// disk.</param>
/// <param name="FreesFirst">Devices that have too little memory to load beside what they hold.</param>
/// <param name="Origin">Null when no pages are gone on with.</param>
internal sealed record LayoutDecision(
    Reconfiguration Plan,
    ImmutableDictionary<DeviceId, ImmutableArray<WeightOrder>> Orders,
    ImmutableHashSet<DeviceId> FreesFirst,
    PageOrigin? Origin)
{
    public Layout Layout => Plan.Layout;

    /// <summary>KV pages of each replica.</summary>
    public ImmutableArray<int> Pages => Plan.Pages.Counts;

    /// <summary>Which requests go on where with their pages.</summary>
    public CacheInheritance Inherited => Plan.Inherited;

    /// <summary>Which old replica hands over to which new ones.</summary>
    public ImmutableArray<Succession> Successions => Plan.Pages.Successions;

    /// <summary>Whether there is room for the old layout until the new one is ready.</summary>
    public bool KeepsServing => Plan.Pages.KeepsServing;

    /// <summary>What a person should know.</summary>
    public ImmutableArray<string> Notes => Plan.Migration.Notes;

    /// <param name="serving">The epoch that the plan starts from, if one serves.</param>
    public static LayoutDecision Of(Reconfiguration plan, ServingEpoch? serving) =>
        new(
            plan,
            OrdersOf(plan.Migration),
            [.. plan.Migration.Steps.OfType<MigrationStep.FreeWeights>().Where(free => free.Early)
                .Select(free => free.Device).Concat(plan.Pages.ShortOn)],
            OriginOf(plan, serving));

    private static ImmutableDictionary<DeviceId, ImmutableArray<WeightOrder>> OrdersOf(MigrationPlan migration) =>
        migration.Steps.OfType<MigrationStep.CopyWeights>()
            .Where(copy => copy.From.Kind == SourceKind.Peer)
            .GroupBy(copy => copy.To)
            .ToImmutableDictionary(
                to => to.Key,
                to => to.Select(copy => new WeightOrder(copy.Slice, copy.From.Device)).ToImmutableArray());

    private static PageOrigin? OriginOf(Reconfiguration plan, ServingEpoch? serving)
    {
        const int NoHome = -1;
        if (serving is null || plan.Pages.Successions.IsEmpty) return null;
        var olds = plan.Pages.Successions.ToLookup(pair => pair.New, pair => pair.Old);
        var expects = Enumerable.Range(0, plan.Layout.Degrees.Replicas)
            .Select(replica => olds[replica].ToImmutableArray())
            .ToImmutableArray();
        return new PageOrigin(
            serving.Epoch, serving.Layout, [.. plan.Pages.Homes.Select(home => home ?? NoHome)], expects,
            plan.Pages.SharedOn);
    }
}
