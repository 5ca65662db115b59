using SpotServe.Actors.Simulation;
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
            Assert.Contains("on-demand only", output, StringComparison.Ordinal);
            Assert.Contains("$ a million tokens", output, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(first);
            File.Delete(second);
        }
    }

    private static Pool Pool(string name, string text) => new(name, AvailabilityReader.Read(name, text));
}
