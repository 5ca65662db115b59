using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>Entries of the fleet's journal in a person's words.</summary>
internal static class FleetWords
{
    /// <param name="before">The journal before the entry.</param>
    /// <returns>Null for what is no decision.</returns>
    public static FleetDecision? Of(FleetJournal before, IFleetEvent happened) => happened switch
    {
        FleetBegun begun => new FleetDecision(
            begun.At, "fleet manager begins", $"at least {begun.MachinesMin} machines of cluster {begun.Cluster}"),
        SizeChosen chosen => new FleetDecision(chosen.At, $"{chosen.Size} machines", "an operator wants them"),
        LaunchOrdered ordered => new FleetDecision(ordered.At, $"{Pools(ordered)} ordered", ordered.Reason),
        LaunchAnswered answered => new FleetDecision(
            answered.At, $"machine {answered.Machine} starts",
            answered.Pool?.ToString() ?? Pool(before, answered.Token)),
        LaunchRefused refused => new FleetDecision(
            refused.At, $"no machine: {Pool(before, refused.Token)}", refused.Reason),
        MachineFound found => new FleetDecision(
            found.At, $"machine {found.Machine} found", "it has this cluster's tag, and no order here led to it"),
        ReleaseBegun begun => new FleetDecision(begun.At, $"machine {begun.Machine} is drained", begun.Reason),
        TerminationOrdered ordered => new FleetDecision(
            ordered.At, $"machine {ordered.Machine} is stopped", ordered.Reason),
        MachineGone gone => new FleetDecision(gone.At, $"machine {gone.Machine} is gone", gone.Reason),
        _ => null,
    };

    private static string Pool(FleetJournal journal, string token) =>
        journal.Orders.TryGetValue(token, out var order) ? Pools(order) : $"order {token}";

    public static string Pools(LaunchOrdered order) => order.Alternatives.Length switch
    {
        0 => $"{order.Pool}",
        1 => $"{order.Pool} or {order.Alternatives[0]}",
        var others => $"{order.Pool} or one of {others} other pools",
    };
}
