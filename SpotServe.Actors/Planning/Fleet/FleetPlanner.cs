using System.Collections.Immutable;

namespace SpotServe.Actors.Planning;

/// <summary>The controller's other half: delta = what the wanted layout takes - what there is.</summary>
/// <remarks>Algorithm 1 of SpotServe (ASPLOS '24), lines 6 to 10, for several types of machines.</remarks>
internal static class FleetPlanner
{
    /// <summary>What the load wants of machines.</summary>
    /// <param name="inputs">Its instances are those that are here and stay, the ones just granted included.</param>
    /// <param name="serving">The layout that is decided or serves: machines that it uses are given back last.</param>
    /// <returns>Null when no machine is here to tell what could be had.</returns>
    public static FleetWish? Wish(PlanningInputs inputs, FleetRules rules, Layout? serving)
    {
        if (inputs.Instances.IsEmpty) return null;
        return inputs.Search is { } options
            ? ForLoad(inputs, options, rules, serving)
            : ForOneReplica(inputs, rules);
    }

    /// <summary>With an objective: the cheapest of what serves the load as well as it can be served.</summary>
    private static FleetWish ForLoad(PlanningInputs inputs, SearchOptions options, FleetRules rules, Layout? serving)
    {
        var search = new LayoutSearch(new SliceGeometry(inputs.Model), inputs.CostModel(), options);
        var best = Offers(inputs)
            .Select(offer => (Offer: offer, Found: Search(search, inputs, offer, rules.AddMax)))
            .Where(pair => pair.Found is not null)
            .MinBy(pair => (
                pair.Found!.IsOverloaded, pair.Found.Chosen.CostPerHour, pair.Found.Chosen.InstanceCount,
                pair.Found.Chosen.LatencySeconds));
        if (best.Found is not { } found)
        {
            return Wished(
                inputs, rules, new LayoutDegrees(1, 1, 1, inputs.SequencesMax), inputs.Instances.Length, [], null,
                $"no layout of {inputs.Model.Name} fits, with {rules.AddMax} more machines either");
        }

        var needed = found.Chosen.InstanceCount;
        var lacking = Math.Max(0, needed - inputs.Instances.Length);
        var reason = FormattableString.Invariant(
            $"{found.Chosen.Degrees} on {needed} machines for {inputs.Load.RequestsPerSecond:0.##} requests/s")
            + (found.IsOverloaded ? ", the most that may be had" : "");
        return Wished(
            inputs, rules, found.Chosen.Degrees, needed, ReleaseOrder(inputs, serving),
            Addition(best.Offer, Math.Min(rules.AddMax, lacking + Spares(inputs, rules, needed)), lacking), reason);
    }

    /// <summary>Without an objective all machines serve: only a model that does not fit wants more.</summary>
    private static FleetWish ForOneReplica(PlanningInputs inputs, FleetRules rules)
    {
        var spares = rules.Spares;
        for (var more = 0; more <= rules.AddMax; more++)
        {
            foreach (var offer in Offers(inputs))
            {
                var with = inputs with { Instances = [.. inputs.Instances, .. Offered(offer, more)], Serving = null };
                if (Fits(with) is not { } degrees) continue;
                var (present, needed) = (inputs.Instances.Length, inputs.Instances.Length + more);
                return new FleetWish(
                    degrees, needed, spares, present, Addition(offer, Math.Min(rules.AddMax, more + spares), more), [],
                    more == 0
                        ? $"one replica over all {present} machines, whatever the load"
                        : $"{inputs.Model.Name} does not fit {present} machines");
            }
        }

        return new FleetWish(
            new LayoutDegrees(1, 1, 1, inputs.SequencesMax), inputs.Instances.Length, spares,
            inputs.Instances.Length, null, [],
            $"no layout of {inputs.Model.Name} fits, with {rules.AddMax} more machines either");
    }

    private static FleetWish Wished(
        PlanningInputs inputs, FleetRules rules, LayoutDegrees wanted, int needed, IEnumerable<string> releaseOrder,
        FleetAddition? add, string reason)
    {
        var present = inputs.Instances.Length;
        return new FleetWish(
            wanted, needed, rules.Spares, present, add,
            [.. releaseOrder.Take(Math.Max(0, present - needed - rules.Spares))], reason)
        {
            IsForLoad = true,
        };
    }

    /// <summary>Spares that are not here.</summary>
    private static int Spares(PlanningInputs inputs, FleetRules rules, int needed) =>
        Math.Clamp(needed + rules.Spares - inputs.Instances.Length, 0, rules.Spares);

    private static FleetAddition? Addition(Instance offer, int count, int atOnce) => count == 0
        ? null
        : new FleetAddition(offer.InstanceType, offer.Kind.Name, offer.DeviceCount, count, Math.Min(count, atOnce));

    /// <summary>Those that cost more because nobody takes them away, then those that serve nothing, then the
    /// dearest.</summary>
    private static IEnumerable<string> ReleaseOrder(PlanningInputs inputs, Layout? serving)
    {
        var used = serving?.Placement.Select(device => device.Node).ToHashSet(StringComparer.Ordinal) ?? [];
        return inputs.Instances
            .OrderByDescending(instance => !instance.IsSpot)
            .ThenBy(instance => used.Contains(instance.Node))
            .ThenByDescending(instance => instance.Kind.PricePerHour * instance.DeviceCount)
            .ThenByDescending(instance => instance.Node, StringComparer.Ordinal)
            .Select(instance => instance.Node);
    }

    /// <summary>One of each type that is here: what can be had is what could be had.</summary>
    private static IEnumerable<Instance> Offers(PlanningInputs inputs) => inputs.Instances
        .DistinctBy(instance => (instance.Kind, instance.DeviceCount, instance.InstanceType));

    private static IEnumerable<Instance> Offered(Instance offer, int count) => Enumerable.Range(0, count)
        .Select(i => offer with { Node = FormattableString.Invariant($"offered-{i}"), Indices = null });

    private static SearchResult? Search(LayoutSearch search, PlanningInputs inputs, Instance offer, int count)
    {
        try
        {
            return search.Run([.. inputs.Instances, .. Offered(offer, count)], inputs.Load);
        }
        catch (PlanningException)
        {
            return null;
        }
    }

    private static LayoutDegrees? Fits(PlanningInputs inputs)
    {
        try
        {
            return ReconfigurationPlanner.Plan(inputs with
            {
                Holdings = [],
                Caches = [],
                Leaving = ImmutableDictionary<string, TimeSpan>.Empty,
                Links = inputs.Links with { Store = inputs.Links.InterNode },
            }).Layout.Degrees;
        }
        catch (PlanningException)
        {
            return null;
        }
    }
}
