using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>Instances that the cloud would give.</summary>
public sealed record FleetOffer(DeviceKind Kind, int DevicesEach, int CountMax);

/// <summary>How many instances to ask for or to give back.</summary>
/// <param name="Wanted">The layout that the load asks for, with as many instances as the cloud would give.</param>
/// <param name="Allocate">Instances to ask for, spot and on-demand together; spares included.</param>
/// <param name="Release">Nodes to give back, on-demand ones first.</param>
public sealed record FleetAdvice(SearchResult Wanted, int Allocate, ImmutableArray<string> Release);

/// <summary>The controller's other half: delta = what the wanted layout takes - what there is.</summary>
/// <remarks>Algorithm 1 of SpotServe (ASPLOS '24), lines 6 to 10.</remarks>
public static class FleetAdvisor
{
    /// <param name="instances">Those that are here and stay, the ones just granted included.</param>
    /// <param name="onDemand">Nodes that cost more and go first.</param>
    /// <param name="spares">Instances to keep beyond the layout's, against the next preemption.</param>
    /// <exception cref="PlanningException">Even with all that is offered nothing fits.</exception>
    public static FleetAdvice Advise(
        LayoutSearch search,
        IReadOnlyCollection<Instance> instances,
        FleetOffer offer,
        Workload load,
        IReadOnlySet<string> onDemand,
        int spares = 2)
    {
        Inputs.AtLeast(offer.CountMax, 0, "The number of instances on offer");
        Inputs.AtLeast(spares, 0, "The number of spare instances");
        var offered = Enumerable.Range(0, offer.CountMax)
            .Select(i => new Instance($"offered-{i}", offer.Kind, offer.DevicesEach));
        var wanted = search.Run([.. instances, .. offered], load);
        var delta = wanted.Chosen.InstanceCount + spares - instances.Count;
        if (delta >= 0) return new FleetAdvice(wanted, Math.Min(delta, offer.CountMax), []);
        return new FleetAdvice(wanted, 0,
        [
            .. instances.OrderByDescending(instance => onDemand.Contains(instance.Node))
                .ThenByDescending(instance => instance.Node, StringComparer.Ordinal)
                .Take(-delta)
                .Select(instance => instance.Node),
        ]);
    }
}
