using System.Collections.Immutable;
using SpotServe.Actors.Planning;

namespace SpotServe.Actors.Fleet;

/// <summary>What the fleet's core is told.</summary>
internal static class FleetInputs
{
    public sealed record Tick
    {
        public static Tick Instance { get; } = new();
    }

    /// <summary>The planner's wish and the cluster's nodes.</summary>
    public sealed record PlannerTold(FleetWish? Wish, ImmutableArray<MemberNode> Nodes);

    /// <param name="AskedAt">Machines that were ordered after this may be missing.</param>
    public sealed record Listed(DateTimeOffset AskedAt, ImmutableArray<CloudMachine> Machines);

    public sealed record ListFailed(string Reason);

    public sealed record PricesTold(ImmutableArray<PoolPrice> Prices);

    public sealed record PricesFailed(string Reason);

    public sealed record OrderAnswered(string Token, LaunchOutcome Outcome);

    /// <param name="Failure">Null when the cloud took it.</param>
    public sealed record TerminationAnswered(string Machine, string? Failure);

    public sealed record SizeAsked(int Size);
}

/// <summary>A node of the cluster, as the fleet looks at it.</summary>
/// <param name="Node">Its name in the cluster.</param>
/// <param name="InstanceId">Its machine, as the node says; empty when it does not know.</param>
/// <param name="Address">Host that it is known by.</param>
/// <param name="Leaves">It has notice.</param>
internal sealed record MemberNode(string Node, string InstanceId, string Address, bool Leaves, bool Serves)
{
    public bool IsOn(string machine, string address) => InstanceId.Length > 0
        ? InstanceId == machine
        : address.Length > 0 && address == Address;
}

/// <summary>What the fleet's core wants done once its entries are in the journal.</summary>
internal abstract record FleetEffect
{
    private FleetEffect()
    {
    }

    public sealed record Launch(LaunchOrder Order) : FleetEffect;

    public sealed record Terminate(string Machine) : FleetEffect;

    public sealed record List : FleetEffect;

    public sealed record AskPrices : FleetEffect;

    /// <summary>The node is to leave as if its cloud had given it notice.</summary>
    public sealed record Drain(string Node, TimeSpan Grace) : FleetEffect;
}
