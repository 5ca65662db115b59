using System.Collections.Immutable;
using SpotServe.Actors.Cluster;

namespace SpotServe.Actors.Fleet;

/// <summary>What the fleet manager is asked; only control nodes ask.</summary>
public static class FleetProtocol
{
    public interface IMessage;

    /// <summary>Answered by <see cref="FleetReport"/>.</summary>
    public sealed record GetFleetReport : IMessage;

    /// <summary>The fleet is to have at least this many machines, or as many more than now. Answered by
    /// <see cref="SizeAnswer"/>.</summary>
    /// <param name="IsMore">The number is added to the size that is wanted now.</param>
    public sealed record ChangeSize(int Machines, bool IsMore) : IMessage, IControlsWord;

    /// <param name="Size">As it is now wanted.</param>
    /// <param name="Refusal">Null when it was taken as it was asked for.</param>
    public sealed record SizeAnswer(int Size, string? Refusal) : IMessage;

    /// <param name="Cloud">For people.</param>
    /// <param name="Target">Machines that are wanted now; the size, or more for the load, and spares.</param>
    /// <param name="Wish">Why so many, as the planner says; null before it has said something.</param>
    /// <param name="Shortfall">Why there are fewer; null when there are enough or more are on their way.</param>
    /// <param name="PricePerHour">Of all machines that exist.</param>
    /// <param name="OnDemandPerHour">What they would cost on demand; null when a price is unknown.</param>
    /// <param name="Orders">Machines that are ordered and not known to be there.</param>
    public sealed record FleetReport(
        string Cloud,
        int Size,
        int Target,
        int MachinesMax,
        double? PricePerHourMax,
        string? Wish,
        string? Shortfall,
        double PricePerHour,
        double? OnDemandPerHour,
        ImmutableArray<OrderLine> Orders,
        ImmutableArray<MachineLine> Machines,
        ImmutableArray<PoolLine> Pools,
        ImmutableArray<FleetDecision> Decisions) : IMessage;

    public sealed record OrderLine(string Token, string Pool, DateTimeOffset At);

    /// <param name="Node">Null while its node is not in the cluster.</param>
    /// <param name="State">In a word: starting, spare, serving, leaving, ending.</param>
    public sealed record MachineLine(
        string Machine, string Pool, string? Node, string State, double PricePerHour, DateTimeOffset Since);

    /// <param name="PricePerHour">Null when unknown.</param>
    /// <param name="OpenAt">When it may be asked again; null when now.</param>
    /// <param name="Refusal">Why it is left alone until then; null where that is not known any more.</param>
    public sealed record PoolLine(
        string Pool, double? PricePerHour, double Hours, double Losses, DateTimeOffset? OpenAt, string? Refusal);
}
