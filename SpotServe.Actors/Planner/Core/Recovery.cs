using System.Collections.Immutable;
using SpotServe.Actors.Replica;

namespace SpotServe.Actors.Planner;

/// <summary>After a restart the planner knows from its journal which epoch served, and from its devices whether it
/// still does.</summary>
internal static class Recovery
{
    /// <summary>Replaces the claim by what devices say of it.</summary>
    /// <param name="holdings">Of all nodes.</param>
    public static void SettleClaim(
        Turn turn, ImmutableSortedDictionary<string, ImmutableArray<HeldDevice>> holdings)
    {
        if (turn.State.Claim is not { } claim) return;
        var layout = claim.Layout;
        var running = holdings.Values.SelectMany(devices => devices).SelectMany(device => device.Positions)
            .Where(held => held.Epoch == claim.Epoch && held.IsRunning)
            .ToLookup(held => held.Assignment.Position);
        var pages = new int[layout.Degrees.Replicas];
        var leaders = ImmutableSortedDictionary.CreateBuilder<int, IAddress>();
        for (var replica = 0; replica < pages.Length; replica++)
        {
            var positions = layout.PositionsOf(replica).ToList();
            if (!positions.All(running.Contains)) continue;
            var held = running[positions[0]].First();
            pages[replica] = held.Assignment.PageCount;
            if (held.Leader is { } leader) leaders[replica] = leader;
        }

        turn.State = turn.State with { Claim = null };
        if (leaders.Count == 0) return;
        turn.State = turn.State with
        {
            HasServed = true,
            Active = new ActiveEpoch(
                new ServingEpoch(claim.Epoch, layout, [.. pages]),
                leaders.ToImmutable(),
                ImmutableSortedDictionary<int, LoadReport>.Empty),
        };
        turn.Info("{Epoch} still serves with {Count} replicas", claim.Epoch, leaders.Count);
        // The planner before may have begun to move them, and what they set aside for that would be missed for ever.
        foreach (var leader in leaders.Values)
            turn.Send(leader, new HandoverProtocol.CancelHandover(claim.Epoch, turn.State.Journal.Epoch));
    }
}
