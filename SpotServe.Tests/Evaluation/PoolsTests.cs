using SpotServe.Actors.Simulation;
using SpotServe.Seed.Commands.Simulating;
using Xunit;

namespace SpotServe.Tests.Evaluation;

public sealed class PoolsTests
{
    [Fact]
    public void Machines_are_taken_evenly_replaced_from_the_other_pool_and_filled_up_on_demand()
    {
        var fleet = Pools.Spread(
            [Pool("a", "seconds,machines\n0,4\n600,0\n3000,0"), Pool("b", "seconds,machines\n0,4\n1200,1\n3000,1")],
            wanted: 4, floor: 3, launchSeconds: 120);

        Assert.Equal("0:4 600:2 720:4 1200:1 1320:3", string.Join(' ', fleet.Counts().Select(
            step => $"{step.Seconds}:{step.Count}")));
        Assert.Equal(["a", "a", "b", "b"], fleet.Changes[0].Added.Select(Pools.PoolOf).Order());
        Assert.All(fleet.Changes[^1].Added, machine => Assert.Equal(Pools.OnDemand, Pools.PoolOf(machine)));
    }

    [Fact]
    public void What_spot_costs_is_told_for_all_pools_for_each_alone_and_on_demand()
    {
        var (first, second) = (Path.GetTempFileName(), Path.GetTempFileName());
        try
        {
            File.WriteAllText(first, "seconds,machines\n0,2\n300,1\n900,1\n");
            File.WriteAllText(second, "seconds,machines\n0,1\n900,1\n");

            var (code, output, _) = SimulateCommandTests.Run(
                "simulate", "--availability", first, second, "--rate", "0.5", "--machines", "2", "--on-demand", "2");

            Assert.Equal(0, code);
            Assert.Contains("all pools", output, StringComparison.Ordinal);
            Assert.Contains("2 on-demand machines", output, StringComparison.Ordinal);
            Assert.Contains("$ a million tokens", output, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(first);
            File.Delete(second);
        }
    }

    [Fact]
    public void Of_pools_that_are_used_alike_the_cheaper_one_is_taken()
    {
        const string Offer = "seconds,machines\n0,4\n600,4\n";

        var fleet = Pools.Spread(
            [Pool("dear", Offer) with { PricePerHour = 2 }, Pool("cheap", Offer) with { PricePerHour = 1 }],
            wanted: 3, floor: 0, launchSeconds: 0);

        Assert.Equal(["cheap", "cheap", "dear"], fleet.Changes[0].Added.Select(Pools.PoolOf).Order());
    }

    [Fact]
    public void A_pool_has_machines_a_price_and_a_notice_of_its_own()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "seconds,machines\n0,2\n900,2\n");
            var kind = PoolFlag.Machine("4xA10G");
            var usual = new MachineOffer("spot", kind.Kind, kind.Devices, 1.5, IsSpot: true, 30);

            var own = PoolFlag.Read(file + ":machine=8xT4,price=2.1,notice=0", 3, usual);

            Assert.Equal(("T4", 8, 2.1, 0.0), (
                own.Offer.Kind.Name, own.Offer.Devices, own.Offer.PricePerHour, own.Offer.NoticeSeconds));
            Assert.Equal(2.1, own.Pool.PricePerHour);
            Assert.Equal(usual with { Name = own.Pool.Name }, PoolFlag.Read(file, 3, usual).Offer);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("colour=1", "colour=1")]
    [InlineData("price=-1", "price=-1")]
    [InlineData("price=NaN", "price=NaN")]
    [InlineData("machine=4xZ9", "Z9")]
    [InlineData("machine=A10G", "--machine is A10G")]
    public void What_a_pool_says_wrongly_is_named(string entry, string expected)
    {
        var (code, _, error) = SimulateCommandTests.Run("simulate", "--availability", "/no/file:" + entry);

        Assert.Equal(1, code);
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    private static Pool Pool(string name, string text) => new(name, AvailabilityReader.Read(name, text));
}
