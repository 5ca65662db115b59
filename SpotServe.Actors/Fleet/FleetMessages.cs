using SpotServe.Actors.Cluster;
using static SpotServe.Actors.Fleet.FleetProtocol;

namespace SpotServe.Actors.Fleet;

/// <summary>The fleet manager's state as others see it, and what it hears as the core has it.</summary>
internal static class FleetMessages
{
    public static FleetInputs.PlannerTold Input(ClusterProtocol.FleetTold told) => new(
        told.Wish,
        [
            .. told.Nodes.Select(node => new MemberNode(
                node.Node, node.Machine.InstanceId, HostOf(node.Node), node.LeavesAt is not null, node.Serves)),
        ]);

    public static FleetReport Report(FleetState state, FleetLimits limits, string cloud, DateTimeOffset now)
    {
        var journal = state.Journal;
        return new FleetReport(
            cloud,
            journal.Chosen ?? journal.MachinesMin,
            state.Target,
            limits.MachinesMax,
            limits.PricePerHourMax,
            state.Told?.Wish?.Reason,
            state.Shortfall,
            state.PricePerHour,
            OnDemand(state, limits),
            [.. journal.Orders.Values.Select(order => new OrderLine(order.Token, FleetWords.Pools(order), order.At))],
            [.. journal.Machines.Values.Select(machine => Line(state, machine))],
            [
                .. limits.Pools.Order(MachinePool.Order).Select(journal.PoolOf).Select(pool => new PoolLine(
                    pool.Pool.ToString(),
                    state.Prices.TryGetValue(pool.Pool, out var price) ? price : null,
                    pool.Hours,
                    pool.Losses,
                    pool.OpenAt > now ? pool.OpenAt : null,
                    pool.OpenAt > now ? state.Refusals.GetValueOrDefault(pool.Pool) : null)),
            ],
            journal.Decisions);
    }

    private static MachineLine Line(FleetState state, FleetMachine machine)
    {
        var address = state.Listing?.GetValueOrDefault(machine.Id)?.Address ?? "";
        var node = state.Told?.Nodes.FirstOrDefault(one => one.IsOn(machine.Id, address));
        return new MachineLine(
            machine.Id,
            machine.Pool.ToString(),
            node?.Node,
            (machine, node) switch
            {
                ({ EndingSince: not null }, _) => "ending",
                ({ ReleaseBy: not null }, _) or (_, { Leaves: true }) => "leaving",
                (_, { Serves: true }) => "serving",
                (_, not null) => "spare",
                _ => "starting",
            },
            state.PriceOf(machine),
            machine.Since);
    }

    /// <summary>The same machines, each at the on-demand price of its type.</summary>
    private static double? OnDemand(FleetState state, FleetLimits limits)
    {
        var sum = 0.0;
        foreach (var machine in state.Journal.Machines.Values)
        {
            var prices = limits.Pools
                .Where(pool => !pool.IsSpot && pool.InstanceType == machine.Pool.InstanceType)
                .Select(pool => state.Prices.TryGetValue(pool, out var price) ? price : (double?)null)
                .Where(price => price is not null);
            if (prices.Min() is not { } least) return null;
            sum += least;
        }

        return sum;
    }

    /// <summary>A node is named host:port#incarnation.</summary>
    private static string HostOf(string node)
    {
        var end = node.LastIndexOf(':');
        return end < 0 ? "" : node[..end].Trim('[', ']');
    }
}
