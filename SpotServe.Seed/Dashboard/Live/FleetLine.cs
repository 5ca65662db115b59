using System.Collections.Immutable;
using System.Globalization;
using SpotServe.Seed.Dashboard.Components;
using static SpotServe.Actors.Fleet.FleetProtocol;

namespace SpotServe.Seed.Dashboard.Live;

/// <summary>Something that the fleet waits for: a machine on its way here or away, or a pool that has none.</summary>
/// <param name="Key">Tells it from all others at one time.</param>
/// <param name="State">In a word or two; <paramref name="Style"/> is the class that gives its colour.</param>
/// <param name="Since">For how long, or how long still.</param>
/// <param name="Reason">Null where the state says all.</param>
internal sealed record FleetLine(string Key, string Name, string State, string Style, string Since, string? Reason)
{
    /// <summary>What is asked for, what is launching, what is refused and what goes, in this order; what serves is no
    /// news.</summary>
    /// <param name="called">What people call a machine by its node; null where it has none.</param>
    public static ImmutableArray<FleetLine> Of(
        FleetReport fleet, DateTimeOffset now, Func<string, string?> called) =>
    [
        .. fleet.Orders.Select(order => new FleetLine(
            order.Token, order.Pool, "asked for", "loading", Age(now - order.At), null)),
        .. Machines(fleet, "starting", "loading", now, called),
        .. fleet.Pools.Where(pool => pool.OpenAt > now).Select(pool => new FleetLine(
            pool.Pool, pool.Pool, "refused", "gone", $"again in {Age(pool.OpenAt!.Value - now)}",
            pool.Refusal ?? "an order came to nothing")),
        .. Machines(fleet, "leaving", "leaving", now, called),
        .. Machines(fleet, "ending", "leaving", now, called),
    ];

    /// <summary>Machines whose nodes are in the cluster and stay.</summary>
    public static int Present(FleetReport fleet) =>
        fleet.Machines.Count(machine => machine.State is "serving" or "spare");

    /// <summary>Machines that are asked for or launching.</summary>
    public static int Coming(FleetReport fleet) =>
        fleet.Orders.Length + fleet.Machines.Count(machine => machine.State == "starting");

    /// <summary>"1.20 of 18.00"; the bound only where there is one.</summary>
    public static string Money(FleetReport fleet) => Texts.Money(fleet.PricePerHour)
        + (fleet.PricePerHourMax is { } max ? $" of {Texts.Money(max)}" : "");

    /// <summary>How many times as dear the fleet's machines would be on demand; null where that is not known.</summary>
    public static double? OnDemandFactor(FleetReport? fleet) =>
        fleet is { PricePerHour: > 0, OnDemandPerHour: { } dear } ? dear / fleet.PricePerHour : null;

    /// <summary>"12 s", "3 min", "2.5 h".</summary>
    public static string Age(TimeSpan time) => time switch
    {
        { TotalSeconds: < 100 } => string.Create(
            CultureInfo.InvariantCulture, $"{Math.Max(0, Math.Round(time.TotalSeconds)):0} s"),
        { TotalMinutes: < 100 } => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMinutes:0} min"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{time.TotalHours:0.#} h"),
    };

    private static IEnumerable<FleetLine> Machines(
        FleetReport fleet, string state, string style, DateTimeOffset now, Func<string, string?> called) =>
        fleet.Machines.Where(machine => machine.State == state).Select(machine => new FleetLine(
            machine.Machine, called(machine.Machine) ?? machine.Pool, state, style, Age(now - machine.Since),
            machine.Machine));
}
