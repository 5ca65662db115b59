using System.Collections.Immutable;
using SpotServe.Seed.Dashboard.Live;
using Xunit;
using static SpotServe.Actors.Fleet.FleetProtocol;

namespace SpotServe.Tests.Dashboard;

/// <summary>What the dashboard shows of the fleet manager's report.</summary>
public sealed class FleetLineTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static FleetReport Report => new(
        "EC2", 4, 5, 8, 18, "the load", null, 1.2, 4,
        [new OrderLine("t-1", "spot a", Now.AddSeconds(-3))],
        [
            new MachineLine("i-1", "spot a", "n:1#1", "serving", 0.3, Now.AddHours(-3)),
            new MachineLine("i-2", "spot b", null, "starting", 0.3, Now.AddSeconds(-42)),
            new MachineLine("i-3", "spot b", "n:3#1", "leaving", 0.3, Now.AddMinutes(-150)),
            new MachineLine("i-4", "spot b", "n:4#1", "spare", 0.3, Now.AddMinutes(-3)),
        ],
        [
            new PoolLine("spot a", 0.3, 1, 0, null, null),
            new PoolLine("spot b", 0.3, 1, 0, Now.AddMinutes(4), "no capacity"),
        ],
        ImmutableArray<SpotServe.Actors.Fleet.FleetDecision>.Empty);

    [Fact]
    public void What_is_asked_for_launching_refused_or_leaving_is_shown_with_its_age_and_what_serves_is_not()
    {
        Assert.Equal(
            [
                ("asked for", "spot a", "3 s", null),
                ("starting", "spot b", "42 s", "i-2"),
                ("refused", "spot b", "again in 4 min", "no capacity"),
                ("leaving", "node 3", "2.5 h", "i-3"),
            ],
            FleetLine.Of(Report, Now, machine => machine == "i-3" ? "node 3" : null)
                .Select(line => (line.State, line.Name, line.Since, line.Reason)));
        Assert.Equal((2, 2), (FleetLine.Present(Report), FleetLine.Coming(Report)));
    }

    /// <summary>1.2 an hour where the same machines cost 4 on demand.</summary>
    [Fact]
    public void Costs_on_demand_are_told_where_prices_are_known()
    {
        Assert.Equal(4 / 1.2, FleetLine.OnDemandFactor(Report)!.Value, 9);
        Assert.Null(FleetLine.OnDemandFactor(Report with { OnDemandPerHour = null }));
        Assert.Null(FleetLine.OnDemandFactor(Report with { PricePerHour = 0 }));
        Assert.Null(FleetLine.OnDemandFactor(null));
    }

    [Fact]
    public void Money_is_set_against_its_bound_where_there_is_one()
    {
        Assert.Equal("1.20 of 18.00", FleetLine.Money(Report));
        Assert.Equal("1.20", FleetLine.Money(Report with { PricePerHourMax = null }));
    }
}
