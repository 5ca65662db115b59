using System.Collections.Immutable;

namespace SpotServe.Actors.Fleet;

/// <summary>From the machines that there are towards those that are wanted: what is lacking is ordered, what is too
/// much
/// given back, and what does not serve its purpose replaced.</summary>
internal static class Reconciling
{
    public static void Run(FleetTurn turn)
    {
        EndReleased(turn);
        // A planner that moves, or hangs, has no wish: what there is stays, and goes on starting.
        if (turn.Now - turn.State.ToldAt > turn.Limits.WishMax) return;
        var count = Look(turn);
        EndUseless(turn, count);
        count = Look(turn);
        var target = Target(turn);
        turn.State = turn.State with { Target = target, Shortfall = null };
        var lacking = target - count.Coming;
        if (lacking > 0)
        {
            Launching.Run(turn, lacking);
            Releasing.MakeRoom(turn, count);
            turn.State = turn.State with { SurplusSince = null };
        }
        else if (!Launching.ReplaceOnDemand(turn, count, target))
        {
            Releasing.Run(turn, count, target);
        }

        Releasing.KeepToBudget(turn, count);
    }

    /// <summary>What the planner and the list say of each machine; remembers what they said before.</summary>
    private static FleetCount Look(FleetTurn turn)
    {
        var nodes = turn.State.Told!.Nodes;
        var machines = ImmutableArray.CreateBuilder<CountedMachine>();
        foreach (var machine in turn.Journal.Machines.Values)
        {
            var listed = turn.State.Listing!.GetValueOrDefault(machine.Id);
            var node = nodes.FirstOrDefault(one => one.IsOn(machine.Id, listed?.Address ?? ""));
            var seen = turn.SeenOf(machine.Id);
            if (node is not null)
                seen = seen with { Joined = true, Noticed = seen.Noticed || node.Leaves, NodeGoneAt = null };
            else if (seen.Joined) seen = seen with { NodeGoneAt = seen.NodeGoneAt ?? turn.Now };
            if (seen != turn.SeenOf(machine.Id)) turn.See(machine.Id, seen);
            var stays = !machine.IsGivenBack && !seen.Noticed && listed?.Status != MachineStatus.Ending;
            machines.Add(new CountedMachine(machine, node, stays));
        }

        var others = nodes.Count(node => !node.Leaves && machines.All(machine => machine.Node != node));
        return new FleetCount(machines.ToImmutable(), others, turn.Journal.Orders.Count);
    }

    /// <summary>At least the size; more when the load, or a model that does not fit, wants more. Spares come on top of
    /// what is needed.</summary>
    private static int Target(FleetTurn turn)
    {
        var size = turn.Journal.Chosen ?? turn.Journal.MachinesMin;
        var needed = turn.State.Told!.Wish switch
        {
            { IsForLoad: true } wish => turn.Limits.FollowsLoad ? wish.Needed : 0,
            { Add.AtOnce: > 0 } wish => wish.Present + wish.Add.AtOnce,
            _ => 0,   // One replica over all machines takes what there is.
        };
        return Math.Min(turn.Limits.MachinesMax, Math.Max(size, needed) + turn.Limits.Spares);
    }

    /// <summary>A machine whose node was asked to leave is stopped once that is gone, or at the deadline.</summary>
    private static void EndReleased(FleetTurn turn)
    {
        foreach (var machine in turn.Journal.Machines.Values)
        {
            if (machine is not { ReleaseBy: { } by, EndingSince: null }) continue;
            var address = turn.State.Listing!.GetValueOrDefault(machine.Id)?.Address ?? "";
            var isThere = turn.State.Told!.Nodes.Any(node => node.IsOn(machine.Id, address));
            if (!isThere) turn.Terminate(machine, "its node has left");
            else if (turn.Now >= by) turn.Terminate(machine, "its time to leave is over");
        }
    }

    private static void EndUseless(FleetTurn turn, FleetCount count)
    {
        foreach (var (machine, node, _) in count.Machines)
        {
            if (machine.IsGivenBack || node is not null) continue;
            var seen = turn.SeenOf(machine.Id);
            var waitedFrom = machine.Since > turn.State.BeganAt ? machine.Since : turn.State.BeganAt;
            if (seen.NodeGoneAt is { } goneAt && turn.Now - goneAt > turn.Limits.NodeGoneMax)
                turn.Terminate(machine, "its node is gone and it still runs");
            else if (!seen.Joined && turn.Now - waitedFrom > turn.Limits.JoinMax)
                turn.Terminate(machine, "its node did not join");
        }
    }
}

/// <param name="Node">Null while its node is not in the cluster.</param>
/// <param name="Stays">It is not given back, and nothing says that it goes.</param>
internal readonly record struct CountedMachine(FleetMachine Machine, MemberNode? Node, bool Stays);

/// <param name="Others">Nodes that somebody else started; they serve all the same, and are never stopped.</param>
internal sealed record FleetCount(ImmutableArray<CountedMachine> Machines, int Others, int Orders)
{
    /// <summary>That serve or will.</summary>
    public int Coming => Machines.Count(machine => machine.Stays) + Others + Orders;

    /// <summary>Whether all that is coming has come.</summary>
    public bool IsSettled => Orders == 0 && Machines.All(machine => !machine.Stays || machine.Node is not null);
}
