using System.Collections.Immutable;

namespace SpotServe.Actors.Fleet;

/// <summary>Machines that a cloud has or has not together: one type, in one zone, sold in one way. Capacity, price and
/// losses belong to a pool.</summary>
/// <param name="InstanceType">As the cloud calls it, e.g. "g4dn.xlarge".</param>
/// <param name="Zone">E.g. "us-east-1a"; empty where the cloud has no zones.</param>
/// <param name="IsSpot">The cloud may take such machines away.</param>
public sealed record MachinePool(string InstanceType, string Zone, bool IsSpot)
{
    /// <summary>So that equal choices are made the same way everywhere.</summary>
    public static IComparer<MachinePool> Order { get; } = Comparer<MachinePool>.Create(
        (one, other) => string.CompareOrdinal(one.ToString(), other.ToString()));

    public override string ToString() =>
        $"{(IsSpot ? "spot" : "on-demand")} {InstanceType}{(Zone.Length > 0 ? $" in {Zone}" : "")}";
}

/// <summary>How far a machine is.</summary>
public enum MachineStatus
{
    /// <summary>It was asked for and is not up yet.</summary>
    Starting,

    Running,

    /// <summary>It is being stopped, by whomever; it still counts against limits until it is gone.</summary>
    Ending,
}

/// <summary>A machine as its cloud lists it, found by the tags that it was launched with.</summary>
/// <param name="Id">As the cloud calls it.</param>
/// <param name="Token">Of the order that it was launched by; empty when its tag is missing.</param>
/// <param name="Address">Host or IP address that its node is known by; empty when it has none yet.</param>
public sealed record CloudMachine(string Id, string Token, MachinePool Pool, MachineStatus Status, string Address);

/// <summary>What is paid for one machine of a pool, per hour, in the currency of the limit.</summary>
public sealed record PoolPrice(MachinePool Pool, double PricePerHour);

/// <summary>One machine to be started.</summary>
/// <param name="Token">Makes the order idempotent: asked twice, the cloud starts one machine. It is also a tag.</param>
/// <param name="Cluster">The other tag: whose machines these are.</param>
public sealed record LaunchOrder(string Token, string Cluster, MachinePool Pool)
{
    /// <summary>Pools that are as good, best first: the cloud may take the one that it has most machines in. The same
    /// each time that an order is given.</summary>
    public ImmutableArray<MachinePool> Alternatives { get; init; } = [];
}

/// <summary>What became of an order, as far as the cloud has said.</summary>
public abstract record LaunchOutcome
{
    private LaunchOutcome()
    {
    }

    /// <summary>The machine is there, or will be.</summary>
    /// <param name="Pool">That the cloud took of those of the order; null where it had no choice, or does not
    /// say.</param>
    public sealed record Launched(string Machine, MachinePool? Pool = null) : LaunchOutcome;

    /// <summary>No pool of the order has such a machine now, or the account's quota is used up.</summary>
    public sealed record Refused(string Reason) : LaunchOutcome;

    /// <summary>Too many calls: nothing was started, and the same order may be tried again later.</summary>
    public sealed record Throttled(string Reason) : LaunchOutcome;

    /// <summary>No answer, or one that says nothing: there may be a machine. The same order is tried again.</summary>
    public sealed record Unknown(string Reason) : LaunchOutcome;
}
