using System.Collections.Immutable;
using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Actors.Fleet;

/// <summary>What the fleet manager knows at one time. Only the journal outlives its process; the rest is asked for
/// again.</summary>
internal sealed record FleetState(FleetJournal Journal, DateTimeOffset BeganAt)
{
    /// <summary>Null before the planner's first word.</summary>
    public FleetInputs.PlannerTold? Told { get; init; }

    public DateTimeOffset ToldAt { get; init; }

    /// <summary>Null before the cloud's first list: nothing is decided before it.</summary>
    public ImmutableDictionary<string, CloudMachine>? Listing { get; init; }

    public ImmutableDictionary<MachinePool, double> Prices { get; init; } =
        ImmutableDictionary<MachinePool, double>.Empty;

    /// <summary>By order: how the cloud was asked.</summary>
    public ImmutableSortedDictionary<string, Attempt> Launches { get; init; } = NoAttempts;

    /// <summary>By machine.</summary>
    public ImmutableSortedDictionary<string, Attempt> Terminations { get; init; } = NoAttempts;

    public Attempt Lists { get; init; } = Attempt.None;

    public Attempt PriceLists { get; init; } = Attempt.None;

    /// <summary>By machine: what was seen of it that neither the list nor the planner says now.</summary>
    public ImmutableSortedDictionary<string, Sighting> Seen { get; init; } =
        ImmutableSortedDictionary.Create<string, Sighting>(StringComparer.Ordinal);

    /// <summary>By pool: why no machine came of the last order.</summary>
    public ImmutableDictionary<MachinePool, string> Refusals { get; init; } =
        ImmutableDictionary<MachinePool, string>.Empty;

    /// <summary>Since when there are more machines than are wanted.</summary>
    public DateTimeOffset? SurplusSince { get; init; }

    /// <summary>Until then nothing is asked for, because the cloud said that it was asked too much.</summary>
    public DateTimeOffset QuietUntil { get; init; }

    public int Throttles { get; init; }

    /// <summary>Machines that are wanted now.</summary>
    public int Target { get; init; }

    /// <summary>Why there are fewer than that; null when there are enough or more are on their way.</summary>
    public string? Shortfall { get; init; }

    private static ImmutableSortedDictionary<string, Attempt> NoAttempts { get; } =
        ImmutableSortedDictionary.Create<string, Attempt>(StringComparer.Ordinal);

    public double PriceOf(FleetMachine machine) =>
        Prices.TryGetValue(machine.Pool, out var price) ? price : machine.PricePerHour;

    public double PriceOf(LaunchOrdered order) =>
        Math.Max(order.PricePerHour, order.AllPools.Max(pool => Prices.GetValueOrDefault(pool)));

    /// <summary>Of all machines that exist or may exist.</summary>
    public double PricePerHour => Journal.Machines.Values.Sum(PriceOf) + Journal.Orders.Values.Sum(PriceOf);
}

/// <summary>A call to the cloud that is made until it is answered.</summary>
/// <param name="IsUnderWay">No answer yet, and none is overdue: each call has a limit of its own.</param>
/// <param name="Failures">In a row.</param>
/// <param name="NextAt">When it may be made again.</param>
internal readonly record struct Attempt(bool IsUnderWay, int Failures, DateTimeOffset AskedAt, DateTimeOffset NextAt)
{
    public static Attempt None => new(false, 0, DateTimeOffset.MinValue, DateTimeOffset.MinValue);

    public bool IsDue(DateTimeOffset now) => !IsUnderWay && now >= NextAt;

    public Attempt Asked(DateTimeOffset now) => this with { IsUnderWay = true, AskedAt = now };

    public Attempt Answered(DateTimeOffset next) => new(false, 0, AskedAt, next);

    public Attempt Failed(DateTimeOffset now, FleetLimits limits) =>
        this with { IsUnderWay = false, Failures = Failures + 1, NextAt = now + limits.BackOff(Failures + 1) };
}

/// <summary>What was seen of a machine.</summary>
/// <param name="Joined">Its node was in the cluster.</param>
/// <param name="Noticed">Its node had notice: it does not come back.</param>
/// <param name="NodeGoneAt">Since when its node is not in the cluster any more.</param>
/// <param name="Missed">Lists in a row without it.</param>
internal sealed record Sighting(bool Joined, bool Noticed, DateTimeOffset? NodeGoneAt, int Missed)
{
    public static Sighting None { get; } = new(false, false, null, 0);
}
