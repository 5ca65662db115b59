using System.Collections.Immutable;

namespace SpotServe.Actors.Fleet;

/// <summary>The fleet manager's journal: each decision with its reason, in a person's words.</summary>
internal static class FleetEvents
{
    public interface IFleetEvent
    {
        DateTimeOffset At { get; }
    }

    /// <summary>A manager began. What was known of another cluster's machines is forgotten.</summary>
    public sealed record FleetBegun(DateTimeOffset At, string Cluster, int MachinesMin) : IFleetEvent;

    /// <summary>An operator wants this many machines.</summary>
    public sealed record SizeChosen(DateTimeOffset At, int Size) : IFleetEvent;

    /// <param name="PricePerHour">When it was ordered, of the dearest of its pools; 0 when unknown.</param>
    public sealed record LaunchOrdered(
        DateTimeOffset At, string Token, MachinePool Pool, double PricePerHour, string Reason) : IFleetEvent
    {
        /// <summary>Of these the cloud may take another one.</summary>
        public ImmutableArray<MachinePool> Alternatives { get; init; } = [];

        /// <summary>All pools that the machine may be of.</summary>
        public IEnumerable<MachinePool> AllPools => [Pool, .. Alternatives];
    }

    /// <param name="Pool">What the cloud took; null: the order's.</param>
    public sealed record LaunchAnswered(DateTimeOffset At, string Token, string Machine, MachinePool? Pool = null)
        : IFleetEvent;

    /// <param name="PoolUntil">Until then the order's pools are left alone.</param>
    public sealed record LaunchRefused(DateTimeOffset At, string Token, DateTimeOffset PoolUntil, string Reason)
        : IFleetEvent;

    /// <summary>A machine with the cluster's tag that no order here led to: it is this fleet's from now on.</summary>
    public sealed record MachineFound(
        DateTimeOffset At, string Machine, string Token, MachinePool Pool, double PricePerHour) : IFleetEvent;

    /// <summary>The machine's node is asked to leave.</summary>
    public sealed record ReleaseBegun(DateTimeOffset At, string Machine, DateTimeOffset Deadline, string Reason)
        : IFleetEvent;

    public sealed record TerminationOrdered(DateTimeOffset At, string Machine, string Reason) : IFleetEvent;

    /// <param name="IsLoss">The cloud, or an accident, took it: nobody here had asked for that.</param>
    /// <param name="PoolUntil">It never served: its pool is left alone until then.</param>
    public sealed record MachineGone(
        DateTimeOffset At, string Machine, bool IsLoss, DateTimeOffset? PoolUntil, string Reason) : IFleetEvent;

    /// <summary>All that matters; what is older can be deleted.</summary>
    public sealed record FleetCheckpoint(
        DateTimeOffset At,
        string Cluster,
        int MachinesMin,
        int? Chosen,
        long Ordered,
        ImmutableArray<LaunchOrdered> Orders,
        ImmutableArray<FleetMachine> Machines,
        ImmutableArray<PoolRecord> Pools,
        ImmutableArray<FleetDecision> Decisions) : IFleetEvent;
}

/// <summary>A machine of this fleet.</summary>
/// <param name="Since">When it was ordered or found.</param>
/// <param name="ReleaseBy">Its node was asked to leave by then.</param>
/// <param name="EndingSince">The cloud was told to stop it.</param>
internal sealed record FleetMachine(
    string Id,
    string Token,
    MachinePool Pool,
    double PricePerHour,
    DateTimeOffset Since,
    DateTimeOffset? ReleaseBy,
    DateTimeOffset? EndingSince)
{
    public bool IsGivenBack => ReleaseBy is not null || EndingSince is not null;
}

/// <summary>What is known of a pool.</summary>
/// <param name="Hours">Machine hours, and of these <paramref name="Losses"/> ended by a loss; older ones weigh
/// less.</param>
/// <param name="Refusals">In a row.</param>
/// <param name="OpenAt">When it may be asked again.</param>
internal sealed record PoolRecord(MachinePool Pool, double Hours, double Losses, int Refusals, DateTimeOffset OpenAt)
{
    /// <summary>So much is taken to be known of a pool before anything is: one loss in ten hours.</summary>
    private const double PriorHours = 10;

    /// <summary>Beyond this both counts are halved, so that a pool can change.</summary>
    private const double HoursMax = 200;

    public double LossesPerHour => (Losses + 1) / (Hours + PriorHours);

    public PoolRecord With(double hours, bool isLoss)
    {
        var more = this with { Hours = Hours + Math.Max(0, hours), Losses = Losses + (isLoss ? 1 : 0) };
        return more.Hours <= HoursMax ? more : more with { Hours = more.Hours / 2, Losses = more.Losses / 2 };
    }
}

/// <summary>A line for people: what was decided or happened, and why.</summary>
public sealed record FleetDecision(DateTimeOffset At, string What, string Reason);
