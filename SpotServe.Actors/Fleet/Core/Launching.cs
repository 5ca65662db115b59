using System.Collections.Immutable;
using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>Which pool a machine is ordered from.</summary>
internal static class Launching
{
    /// <summary>A pool that loses at most so many times as many machines an hour as the best one is about as good: what
    /// is known of losses is rough.</summary>
    private const double WorseMax = 2;

    /// <summary>Of one order: an entry of the journal stays small.</summary>
    private const int AlternativesMax = 16;

    /// <summary>Orders as many of the lacking machines as limits and pools allow.</summary>
    public static void Run(FleetTurn turn, int lacking)
    {
        for (var left = lacking; left > 0; left--)
        {
            if (turn.Journal.Orders.Count >= turn.Limits.OrdersMax) return;
            // The last ones are the spares: they wait for spot machines.
            var isSpare = left <= turn.Limits.Spares;
            if (Choose(turn, isSpare) is not { } pool) return;
            var why = pool.IsSpot
                ? isSpare ? "a spare is missing" : "a machine is missing"
                : "a machine is missing, and no spot machine is to be had";
            Order(turn, pool, FormattableString.Invariant($"{why}: {lacking} of {turn.State.Target}"));
        }
    }

    /// <summary>Once spot machines are to be had again, each on-demand machine is replaced by one.</summary>
    /// <returns>Whether one was ordered, or is awaited.</returns>
    public static bool ReplaceOnDemand(FleetTurn turn, FleetCount count, int target)
    {
        if (!turn.Limits.Pools.Any(pool => pool.IsSpot) || count.Coming != target || !count.IsSettled) return false;
        var dear = count.Machines.FirstOrDefault(machine => machine.Stays && !machine.Machine.Pool.IsSpot);
        if (dear.Machine is null || BestSpot(turn) is not { } pool || Obstacle(turn, pool) is not null) return false;
        Order(turn, pool, $"spot machines may be had again: {dear.Machine.Id} is on demand");
        return true;
    }

    private static void Order(FleetTurn turn, MachinePool pool, string reason)
    {
        var token = FormattableString.Invariant($"{turn.Limits.Cluster}-{turn.Journal.Ordered + 1}");
        var order = new LaunchOrdered(turn.Now, token, pool, 0, reason)
        {
            Alternatives = Alternatives(turn, pool),
        };
        order = order with { PricePerHour = turn.State.PriceOf(order) };
        turn.Note(order);
        Invariant.Holds(turn.Journal.Count <= turn.Limits.MachinesMax);
        if (turn.Now >= turn.State.QuietUntil) Calls.Ask(turn, order);
    }

    /// <summary>Spot pools that are about as good as the chosen one, and whose price is within the money.</summary>
    private static ImmutableArray<MachinePool> Alternatives(FleetTurn turn, MachinePool pool) =>
        turn.Limits.LetsCloudChoose && pool.IsSpot
            ?
            [
                .. SpotPools(turn)
                    .Where(other => other != pool && IsAsGood(turn, other, pool) && Obstacle(turn, other) is null)
                    .Take(AlternativesMax),
            ]
            : [];

    /// <returns>Null when none can be asked now; the state says why.</returns>
    private static MachinePool? Choose(FleetTurn turn, bool isSpare)
    {
        var spot = BestSpot(turn);
        var pool = spot is not null && Obstacle(turn, spot) is null || isSpare ? spot : spot ?? BestOnDemand(turn);
        var obstacle = pool is null ? NoPool(turn, isSpare) : Obstacle(turn, pool);
        turn.State = turn.State with { Shortfall = obstacle };
        return obstacle is null ? pool : null;
    }

    private static bool IsOpen(FleetTurn turn, MachinePool pool) =>
        turn.Journal.PoolOf(pool).OpenAt <= turn.Now
        && (turn.Limits.PricePerHourMax is null || turn.State.Prices.ContainsKey(pool));

    /// <summary>Machines are spread over the pools, the more to one the rarer it loses them; at equal worth the cheaper
    /// one.</summary>
    public static MachinePool? BestSpot(FleetTurn turn) => SpotPools(turn).FirstOrDefault();

    private static IOrderedEnumerable<MachinePool> SpotPools(FleetTurn turn) => turn.Limits.Pools
        .Where(pool => pool.IsSpot && IsOpen(turn, pool) && !IsDear(turn, pool))
        .OrderBy(pool => Worth(turn, pool))
        .ThenBy(pool => turn.State.Prices.GetValueOrDefault(pool))
        .ThenBy(pool => pool, MachinePool.Order);

    /// <summary>Not one that holds more machines, or may come to by orders without an answer: machines stay spread over
    /// the pools.</summary>
    private static bool IsAsGood(FleetTurn turn, MachinePool other, MachinePool best)
    {
        var pending = turn.Journal.Orders.Values.Count(order => order.Alternatives.Contains(other));
        return Held(turn, other) + pending <= Held(turn, best)
            && turn.Journal.PoolOf(other).LossesPerHour <= WorseMax * turn.Journal.PoolOf(best).LossesPerHour;
    }

    /// <summary>Losses an hour that the pool would bring with one machine more; less is better.</summary>
    private static double Worth(FleetTurn turn, MachinePool pool) =>
        (Held(turn, pool) + 1) * turn.Journal.PoolOf(pool).LossesPerHour;

    private static MachinePool? BestOnDemand(FleetTurn turn) => turn.Limits.Pools
        .Where(pool => !pool.IsSpot && IsOpen(turn, pool))
        .OrderBy(pool => turn.State.Prices.GetValueOrDefault(pool, double.MaxValue))
        .ThenBy(pool => Held(turn, pool))
        .ThenBy(pool => pool, MachinePool.Order)
        .FirstOrDefault();

    /// <summary>A spot machine that costs what the same machine costs on demand has no point.</summary>
    private static bool IsDear(FleetTurn turn, MachinePool spot) =>
        turn.State.Prices.TryGetValue(spot, out var price)
        && turn.Limits.Pools.Any(pool => !pool.IsSpot && pool.InstanceType == spot.InstanceType
            && turn.State.Prices.TryGetValue(pool, out var onDemand) && price >= onDemand);

    private static int Held(FleetTurn turn, MachinePool pool) =>
        turn.Journal.Machines.Values.Count(machine => machine.Pool == pool && !machine.IsGivenBack)
        + turn.Journal.Orders.Values.Count(order => order.Pool == pool);

    /// <returns>Null when a machine more may be had.</returns>
    private static string? Obstacle(FleetTurn turn, MachinePool pool)
    {
        if (turn.Journal.Count >= turn.Limits.MachinesMax)
            return $"{turn.Journal.Count} machines exist, those that end included, and no more may";
        var price = turn.State.PricePerHour + turn.State.Prices.GetValueOrDefault(pool);
        return turn.Limits.PricePerHourMax is { } max && price > max
            ? FormattableString.Invariant($"with one more {pool} it would be {price:0.##} an hour, over {max:0.##}")
            : null;
    }

    private static string NoPool(FleetTurn turn, bool isSpare)
    {
        var opens = turn.Limits.Pools.Where(pool => pool.IsSpot || !isSpare)
            .Select(pool => turn.Journal.PoolOf(pool).OpenAt).Where(at => at > turn.Now).DefaultIfEmpty(turn.Now).Min();
        return opens > turn.Now
            ? FormattableString.Invariant(
                $"every pool refused; the next is asked again in {(opens - turn.Now).TotalSeconds:0} s")
            : "no pool has a known price below that of on-demand machines";
    }
}
