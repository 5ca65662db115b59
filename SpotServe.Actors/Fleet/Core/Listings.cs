using System.Collections.Immutable;
using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>What a list of the cloud's machines says about those of the journal.</summary>
internal static class Listings
{
    /// <summary>A machine is gone when so many lists in a row lack it: a single one may be a replica's old
    /// state.</summary>
    private const int MissesMax = 2;

    public static void OnListed(FleetTurn turn, FleetInputs.Listed listed)
    {
        turn.State = turn.State with
        {
            Lists = turn.State.Lists.Answered(turn.Now + turn.Limits.ListEvery),
            Listing = listed.Machines.ToImmutableDictionary(machine => machine.Id, StringComparer.Ordinal),
        };
        foreach (var machine in listed.Machines) OnThere(turn, machine);
        foreach (var machine in turn.Journal.Machines.Values)
            if (!turn.State.Listing.ContainsKey(machine.Id)) OnMissing(turn, machine, listed.AskedAt);
        foreach (var order in turn.Journal.Orders.Values) GiveUpOld(turn, order, listed.AskedAt);
    }

    private static void OnThere(FleetTurn turn, CloudMachine machine)
    {
        if (turn.Journal.Machines.ContainsKey(machine.Id))
        {
            turn.See(machine.Id, turn.SeenOf(machine.Id) with { Missed = 0 });
        }
        else if (machine.Token.Length > 0 && turn.Journal.Orders.ContainsKey(machine.Token))
        {
            turn.State = turn.State with { Launches = turn.State.Launches.Remove(machine.Token) };
            turn.Note(new LaunchAnswered(turn.Now, machine.Token, machine.Id, machine.Pool));
        }
        else if (machine.Status != MachineStatus.Ending)
        {
            turn.Note(new MachineFound(
                turn.Now, machine.Id, machine.Token, machine.Pool, turn.State.Prices.GetValueOrDefault(machine.Pool)));
        }
    }

    private static void OnMissing(FleetTurn turn, FleetMachine machine, DateTimeOffset askedAt)
    {
        var seen = turn.SeenOf(machine.Id);
        if (!turn.State.Seen.ContainsKey(machine.Id) && askedAt < machine.Since + turn.Limits.ListLag) return;
        seen = seen with { Missed = seen.Missed + 1 };
        turn.See(machine.Id, seen);
        if (seen.Missed < MissesMax) return;
        var isLoss = !machine.IsGivenBack && machine.Pool.IsSpot;
        DateTimeOffset? poolUntil = machine.IsGivenBack || seen.Joined
            ? null
            : turn.Now + turn.Limits.BackOff(turn.Journal.PoolOf(machine.Pool).Refusals + 1);
        turn.Note(new MachineGone(turn.Now, machine.Id, isLoss, poolUntil, machine switch
        {
            { IsGivenBack: true } => "it was given back",
            _ when seen.Noticed => "its cloud took it, with notice",
            _ when seen.Joined => "it was lost without notice",
            _ => "it went before its node had joined",
        }));
        turn.State = turn.State with
        {
            Seen = turn.State.Seen.Remove(machine.Id),
            Terminations = turn.State.Terminations.Remove(machine.Id),
        };
    }

    private static void GiveUpOld(FleetTurn turn, LaunchOrdered order, DateTimeOffset askedAt)
    {
        var attempt = turn.State.Launches.GetValueOrDefault(order.Token, Attempt.None);
        if (attempt.IsUnderWay || askedAt < order.At + turn.Limits.OrderMax
            || askedAt < attempt.AskedAt + turn.Limits.ListLag)
        {
            return;
        }

        turn.State = turn.State with { Launches = turn.State.Launches.Remove(order.Token) };
        turn.Note(new LaunchRefused(
            turn.Now, order.Token, turn.Now + turn.Limits.BackOff(turn.Journal.PoolOf(order.Pool).Refusals + 1),
            FormattableString.Invariant(
                $"the cloud has not said in {(turn.Now - order.At).TotalMinutes:0} minutes what became of it")));
    }
}
