using SpotServe.Actors.Fleet;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Fleet;

/// <summary>What the fleet manager does, whatever the cloud does.</summary>
public sealed class FleetCoreTests
{
    private const int EventsPerSeed = 25;
    private static readonly MachinePool SpotA = new("m.large", "a", true);
    private static readonly MachinePool SpotB = new("m.large", "b", true);
    private static readonly MachinePool OnDemand = new("m.large", "a", false);

    private static FleetLimits Limits => new()
    {
        Cluster = "test",
        Pools = [SpotA, SpotB, OnDemand],
        MachinesMin = 4,
        MachinesMax = 8,
        PricePerHourMax = 18,
        MakeRoomAfter = TimeSpan.FromMinutes(15),
    };

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 40)];

    public static TheoryData<int> FewSeeds => [.. Enumerable.Range(101, 15)];

    /// <summary>40 seeds of 25 events; maxima and "no order twice" are checked each second.</summary>
    [Theory]
    [MemberData(nameof(Seeds))]
    public void Thousand_capacity_events_end_in_the_wished_fleet_on_spot_machines_alone_without_orphans(int seed)
    {
        var fleet = Upset(seed, Limits with { LetsCloudChoose = int.IsOddInteger(seed) });

        fleet.Cloud.Closed.Clear();
        fleet.Pass(TimeSpan.FromMinutes(100));

        Assert.True(fleet.Joined == fleet.Size, $"{fleet.Joined} of {fleet.Size}\n{fleet}");
        // Without room for a machine more an on-demand one cannot be replaced first.
        if (fleet.Size < Limits.MachinesMax)
            Assert.True(fleet.Cloud.Machines.Values.All(machine => machine.Pool.IsSpot), fleet.ToString());
        Assert.Equal(
            fleet.Cloud.Machines.Values.OrderBy(machine => machine.Id, StringComparer.Ordinal)
                .Select(machine => (machine.Id, machine.Pool)),
            fleet.State.Journal.Machines.Values.Select(machine => (machine.Id, machine.Pool)));
        Assert.Empty(fleet.State.Journal.Orders);
        Assert.Null(fleet.State.Shortfall);
    }

    [Theory]
    [MemberData(nameof(FewSeeds))]
    public void Where_spot_machines_stay_refused_on_demand_ones_serve_as_far_as_the_money_goes(int seed)
    {
        var fleet = Upset(seed, Limits with { MakeRoomAfter = TimeSpan.FromHours(2) });

        fleet.Cloud.Closed.UnionWith([SpotA, SpotB]);
        fleet.Cloud.Closed.Remove(OnDemand);
        foreach (var machine in fleet.Cloud.Machines.Values.Where(machine => machine.Pool.IsSpot))
            machine.EndsAt = DateTimeOffset.MinValue;
        fleet.Pass(TimeSpan.FromHours(1));

        var affordable = Math.Min(fleet.Size, (int)(Limits.PricePerHourMax! / 3));
        Assert.True(fleet.Joined == affordable, $"{fleet.Joined} of {affordable}\n{fleet}");
        Assert.Equal(fleet.Size > affordable, fleet.State.Shortfall is not null);
        Assert.NotEmpty(fleet.State.Refusals);
        Assert.Equal(fleet.Cloud.Machines.Keys.Order(), fleet.State.Journal.Machines.Keys.Order());
    }

    [Theory]
    [InlineData(true, 6)]
    [InlineData(false, 4)]
    public void Load_makes_the_fleet_grow_only_where_more_machines_help(bool followsLoad, int expected)
    {
        var fleet = new FleetSimulation(1, Limits with { FollowsLoad = followsLoad })
        {
            Wish = new FleetWish(
                new LayoutDegrees(6, 1, 1, 8), Needed: 6, Spares: 0, Present: 4,
                new FleetAddition("m.large", "gpu", 1, Count: 2, AtOnce: 2), [], "the load")
            {
                IsForLoad = true,
            },
        };

        fleet.Pass(TimeSpan.FromMinutes(10));

        Assert.Equal(expected, fleet.Joined);
    }

    /// <summary>What one pool holds more than another keeps it out of the choice, so that a loss of a pool takes few
    /// machines.</summary>
    [Theory]
    [MemberData(nameof(FewSeeds))]
    public void Cloud_chooses_among_pools_as_good_and_machines_stay_spread(int seed)
    {
        var fleet = new FleetSimulation(seed, Limits with { LetsCloudChoose = true });

        fleet.Pass(TimeSpan.FromMinutes(10));

        Assert.Equal(4, fleet.Joined);
        // Four were ordered at once, the first of them from either pool.
        Assert.InRange(fleet.Cloud.Machines.Values.Count(machine => machine.Pool == SpotA), 1, 2);
        Assert.Contains(
            fleet.State.Journal.Decisions, decision => decision.What == $"{SpotA} or {SpotB} ordered");
    }

    [Fact]
    public void Pools_that_refused_together_rest_together_and_on_demand_machines_come_instead()
    {
        var fleet = new FleetSimulation(1, Limits with { LetsCloudChoose = true });
        fleet.Cloud.Closed.UnionWith([SpotA, SpotB]);

        fleet.Pass(TimeSpan.FromMinutes(10));

        Assert.All(fleet.Cloud.Machines.Values, machine => Assert.Equal(OnDemand, machine.Pool));
        Assert.Equal(4, fleet.Joined);
        Assert.Equal([SpotA, SpotB], fleet.State.Refusals.Keys.Order(MachinePool.Order));
    }

    private static FleetSimulation Upset(int seed, FleetLimits limits)
    {
        var fleet = new FleetSimulation(seed, limits);
        var pauses = new Random(seed);
        for (var i = 0; i < EventsPerSeed; i++)
        {
            fleet.Pass(TimeSpan.FromSeconds(pauses.Next(5, 200)));
            fleet.Upset();
        }

        fleet.Cloud.FaultRate = 0;
        return fleet;
    }
}
