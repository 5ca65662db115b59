namespace SpotServe.Actors.Fleet;

/// <summary>Calls to the cloud whose time has come: lists, prices, and orders that were not answered.</summary>
internal static class Calls
{
    public static void MakeDue(FleetTurn turn)
    {
        if (turn.State.Lists.IsDue(turn.Now))
        {
            turn.State = turn.State with { Lists = turn.State.Lists.Asked(turn.Now) };
            turn.Do(new FleetEffect.List());
        }

        if (turn.State.PriceLists.IsDue(turn.Now))
        {
            turn.State = turn.State with { PriceLists = turn.State.PriceLists.Asked(turn.Now) };
            turn.Do(new FleetEffect.AskPrices());
        }

        // Before the first list a machine of an order may be there already: it would be asked for in vain.
        if (turn.State.Listing is null || turn.Now < turn.State.QuietUntil) return;
        foreach (var order in turn.Journal.Orders.Values)
        {
            if (!turn.State.Launches.GetValueOrDefault(order.Token, Attempt.None).IsDue(turn.Now)) continue;
            Ask(turn, order);
        }

        foreach (var machine in turn.Journal.Machines.Values)
        {
            if (machine.EndingSince is null) continue;
            var attempt = turn.State.Terminations.GetValueOrDefault(machine.Id, Attempt.None);
            if (!attempt.IsDue(turn.Now)) continue;
            turn.State = turn.State with
            {
                Terminations = turn.State.Terminations.SetItem(machine.Id, attempt.Asked(turn.Now)),
            };
            turn.Do(new FleetEffect.Terminate(machine.Id));
        }
    }

    public static void Ask(FleetTurn turn, FleetEvents.LaunchOrdered order)
    {
        var attempt = turn.State.Launches.GetValueOrDefault(order.Token, Attempt.None);
        turn.State = turn.State with { Launches = turn.State.Launches.SetItem(order.Token, attempt.Asked(turn.Now)) };
        turn.Do(new FleetEffect.Launch(
            new LaunchOrder(order.Token, turn.Limits.Cluster, order.Pool) { Alternatives = order.Alternatives }));
    }
}
