using System.Collections.Immutable;
using SpotServe.Actors.Fleet;
using Xunit;
using static SpotServe.Actors.Fleet.FleetEvents;

namespace SpotServe.Tests.Fleet;

/// <summary>What the fleet manager does when prices rise while machines run.</summary>
public sealed class FleetBudgetTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 26, 0, 0, 0, TimeSpan.Zero);
    private static readonly MachinePool Rising = new("m.large", "a", true);
    private static readonly MachinePool Steady = new("m.large", "b", true);
    private static readonly MachinePool OnDemand = new("m.large", "a", false);

    private static readonly FleetCore Core = new(new FleetLimits
    {
        Cluster = "test",
        Pools = [Rising, Steady, OnDemand],
        MachinesMin = 4,
        MachinesMax = 8,
        PricePerHourMax = 8,
    });

    private static readonly FleetState Four = Fleet(("i-1", Rising), ("i-2", Rising), ("i-3", Steady), ("i-4", Steady));

    [Fact]
    public void Machines_that_got_too_dear_are_drained_dearest_first_until_the_others_fit_the_bound()
    {
        var step = Core.Step(Four, Prices(rising: 5), Now);

        var drained = Assert.IsType<ReleaseBegun>(Assert.Single(step.Events));
        Assert.Equal("prices rose: all machines together would cost more than 8 an hour", drained.Reason);
        Assert.Equal(Rising, Four.Journal.Machines[drained.Machine].Pool);
        Assert.Equal(
            $"{drained.Machine}:1#0", Assert.Single(step.Effects.OfType<FleetEffect.Drain>()).Node);
        Assert.Empty(step.Effects.OfType<FleetEffect.Terminate>());
    }

    [Fact]
    public void What_goes_already_is_neither_counted_nor_told_again_and_nothing_takes_its_place()
    {
        var first = Core.Step(Four, Prices(rising: 5), Now);

        var second = Core.Step(first.State, FleetInputs.Tick.Instance, Now.AddSeconds(1));

        Assert.Empty(second.Events);
        Assert.NotNull(second.State.Shortfall);
    }

    [Fact]
    public void Nothing_is_given_back_while_the_sum_is_the_bound_itself() =>
        Assert.Empty(Core.Step(Four, Prices(rising: 3), Now).Events);

    [Fact]
    public void Machine_whose_node_has_not_joined_goes_first_and_is_stopped_at_once()
    {
        var told = Four with { Told = Four.Told! with { Nodes = Four.Told.Nodes.RemoveAt(1) } };

        var step = Core.Step(told, Prices(rising: 4), Now);

        Assert.Equal("i-2", Assert.IsType<TerminationOrdered>(Assert.Single(step.Events)).Machine);
        Assert.Equal("i-2", Assert.Single(step.Effects.OfType<FleetEffect.Terminate>()).Machine);
    }

    [Fact]
    public void On_demand_machines_go_before_spot_ones_that_cost_as_much()
    {
        var fleet = Fleet(("i-1", Rising), ("i-2", OnDemand), ("i-3", Rising), ("i-4", Steady));

        var step = Core.Step(fleet, Prices(rising: 3), Now);

        Assert.Equal("i-2", Assert.IsType<ReleaseBegun>(Assert.Single(step.Events)).Machine);
    }

    [Fact]
    public void Orders_that_no_cloud_has_answered_count_as_machines()
    {
        var order = new LaunchOrdered(Now, "test-9", Steady, 1, "");
        var orders = Four.Journal.Orders.Add(order.Token, order);
        var ordered = Four with { Journal = Four.Journal with { Orders = orders } };

        var without = Core.Step(Four, Prices(rising: 3), Now);
        var with = Core.Step(ordered, Prices(rising: 3), Now);

        Assert.Empty(without.Events);
        Assert.IsType<ReleaseBegun>(Assert.Single(with.Events));
    }

    private static FleetInputs.PricesTold Prices(double rising) =>
        new([new PoolPrice(Rising, rising), new PoolPrice(Steady, 1), new PoolPrice(OnDemand, 3)]);

    /// <summary>A fleet whose machines all serve, each ordered for 1 an hour.</summary>
    private static FleetState Fleet(params (string Id, MachinePool Pool)[] machines) => new(
        FleetJournal.Empty with
        {
            Cluster = "test",
            MachinesMin = machines.Length,
            Machines = FleetJournal.Empty.Machines.AddRange(machines.Select(machine => KeyValuePair.Create(
                machine.Id,
                new FleetMachine(machine.Id, $"test-{machine.Id}", machine.Pool, 1, Now.AddMinutes(-5), null, null)))),
        },
        Now.AddHours(-1))
    {
        Listing = machines.ToImmutableDictionary(
            machine => machine.Id,
            machine => new CloudMachine(
                machine.Id, $"test-{machine.Id}", machine.Pool, MachineStatus.Running, "")),
        Told = new FleetInputs.PlannerTold(
            null,
            [.. machines.Select(machine => new MemberNode($"{machine.Id}:1#0", machine.Id, "", false, true))]),
        ToldAt = Now,
    };
}
