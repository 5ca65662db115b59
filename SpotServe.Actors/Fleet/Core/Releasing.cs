using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>Which machines are given back: on-demand ones first and at once, spot ones when they were too many for a
/// while.</summary>
internal static class Releasing
{
    public static void Run(FleetTurn turn, FleetCount count, int target)
    {
        var surplus = count.Coming - target;
        if (surplus <= 0)
        {
            turn.State = turn.State with { SurplusSince = null };
            return;
        }

        turn.State = turn.State with { SurplusSince = turn.State.SurplusSince ?? turn.Now };
        // What serves goes only when what replaces it serves too.
        if (!count.IsSettled) return;
        var isOld = turn.Now - turn.State.SurplusSince >= turn.Limits.ShrinkAfter;
        foreach (var (machine, node, _) in InOrder(turn, count).Take(surplus))
        {
            if (machine.Pool.IsSpot && !isOld) return;
            Release(turn, machine, node, machine.Pool.IsSpot
                ? "fewer machines are wanted"
                : "enough spot machines serve");
        }
    }

    /// <summary>On-demand machines that use up the money which would pay for more spot machines go first, one at a
    /// time,
    /// when spot machines may be had.</summary>
    public static void MakeRoom(FleetTurn turn, FleetCount count)
    {
        if (turn.Limits.PricePerHourMax is not { } max || turn.State.Shortfall is null || !count.IsSettled
            || turn.Journal.Orders.Count > 0 || turn.Journal.Machines.Values.Any(machine => machine.IsGivenBack)
            || turn.Journal.Pools.Values.Any(pool => pool is { Pool.IsSpot: true, Refusals: > 0 }
                && turn.Now < pool.OpenAt + turn.Limits.MakeRoomAfter)
            || Launching.BestSpot(turn) is not { } spot)
        {
            return;
        }

        var dear = InOrder(turn, count).FirstOrDefault(machine => !machine.Machine.Pool.IsSpot);
        if (dear.Machine is null) return;
        var without = turn.State.PricePerHour - turn.State.PriceOf(dear.Machine);
        // One spot machine in its place is no gain.
        if (without + (2 * turn.State.Prices[spot]) > max) return;
        Release(turn, dear.Machine, dear.Node, "its price pays for more than one spot machine");
    }

    /// <summary>Spot prices rise while machines run.</summary>
    public static void KeepToBudget(FleetTurn turn, FleetCount count)
    {
        if (turn.Limits.PricePerHourMax is not { } max) return;
        var staying = turn.Journal.Machines.Values.Where(machine => !machine.IsGivenBack).Sum(turn.State.PriceOf)
            + turn.Journal.Orders.Values.Sum(turn.State.PriceOf);
        foreach (var (machine, node, _) in InOrder(turn, count))
        {
            if (staying <= max) return;
            if (turn.Journal.Machines[machine.Id].IsGivenBack) continue;
            staying -= turn.State.PriceOf(machine);
            Release(turn, machine, node, FormattableString.Invariant(
                $"prices rose: all machines together would cost more than {max:0.##} an hour"));
        }
    }

    /// <summary>As the planner wants them back, on-demand ones before all.</summary>
    private static IEnumerable<CountedMachine> InOrder(FleetTurn turn, FleetCount count)
    {
        var wished = turn.State.Told!.Wish?.Release ?? [];
        return count.Machines
            .Where(machine => machine.Stays)
            .OrderBy(machine => machine.Machine.Pool.IsSpot)
            .ThenBy(machine => machine.Node is { } node && wished.Contains(node.Node) ? 0 : 1)
            .ThenBy(machine => machine.Node?.Serves == true)
            .ThenByDescending(machine => turn.State.PriceOf(machine.Machine))
            .ThenByDescending(machine => machine.Machine.Since)
            .ThenBy(machine => machine.Machine.Id, StringComparer.Ordinal);
    }

    private static void Release(FleetTurn turn, FleetMachine machine, MemberNode? node, string reason)
    {
        if (node is null)
        {
            turn.Terminate(machine, reason);
            return;
        }

        turn.Note(new ReleaseBegun(turn.Now, machine.Id, turn.Now + turn.Limits.DrainMax, reason));
        turn.Do(new FleetEffect.Drain(node.Node, turn.Limits.DrainMax));
    }
}
