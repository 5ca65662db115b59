using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class NearTiesTests
{
    private static readonly SliceGeometry Small = PlanningScenarios.Small;
    private static readonly LinkRates Links = new(20e9, 5e9, 1e9, 1e9, 20e-6);
    private static readonly DeviceKind Kind = new("kind", 1L << 30, 100e9, 10e12, 30e-6, 1);

    /// <summary>Machines were lost, and what served cannot stay.</summary>
    [Fact]
    public void Of_layouts_that_are_about_as_good_and_no_dearer_the_one_that_moves_least_is_taken() =>
        Gen.Select(
            Gen.Enum<Objective>(), PlanningScenarios.Degrees(12, 1, 2, 4), Gen.Int[1, 3], Gen.Double[0.1, 2000])
            .Sample((objective, before, lost, rate) =>
        {
            var inputs = AfterLoss(objective, before, lost, rate);
            var options = inputs.Search!;
            if (inputs.Holdings.IsEmpty) return;
            var found = new LayoutSearch(Small, inputs.CostModel(), options).Run(inputs.Instances, inputs.Load);

            var plan = ReconfigurationPlanner.Plan(inputs);

            var near = NearTies.Of(inputs, options, found);
            var chosen = near.Single(one => one.Degrees == plan.Selected.Degrees);
            var moved = NearTies.MovedBytes(inputs, chosen);
            Assert.All(near, other => Assert.True(moved <= NearTies.MovedBytes(inputs, other)));
            Assert.True(chosen.CostPerHour <= found.Chosen.CostPerHour);
            // Nothing is changed to that would be left again at once.
            Assert.False(LayoutSelection.IsBetter(options, found.Chosen, chosen, inputs.Load, inputs.Margin));
        }, iter: 200);

    [Fact]
    public void Where_nobody_holds_anything_the_best_is_taken() =>
        Gen.Select(Gen.Enum<Objective>(), Gen.Double[0.1, 2000]).Sample((objective, rate) =>
        {
            var inputs = AfterLoss(objective, new LayoutDegrees(1, 1, 1, 4), 1, rate) with { Holdings = [] };

            var best = new LayoutSearch(Small, inputs.CostModel(), inputs.Search!)
                .Run(inputs.Instances, inputs.Load).Chosen;

            Assert.Equal(best.Degrees, LayoutSelection.Of(inputs).Degrees);
        }, iter: 50);

    private static PlanningInputs AfterLoss(Objective objective, LayoutDegrees before, int lost, double rate)
    {
        ImmutableArray<Instance> fleet = [.. Enumerable.Range(0, 6).Select(i => new Instance($"n{i:000}", Kind, 2))];
        var layout = PlanningScenarios.InOrder(Small, before, fleet);
        var left = fleet.Skip(lost).ToImmutableArray();
        var kept = left.Select(instance => instance.Node).ToHashSet();
        return new PlanningInputs(Small.Model, left, new Workload(rate, 64, 32), Links)
        {
            Search = new SearchOptions
            {
                Objective = objective,
                RankCounts = [1, 2, 4],
                BatchSizes = [4],
                StagesMax = 6,
                MigrationBufferBytes = 0,
                SloTarget = TimeSpan.FromSeconds(0.1),
            },
            WorkingBytes = 0,
            DiskNodes = [.. kept],
            Holdings = [.. Holding.All(Small, layout).Where(holding => kept.Contains(holding.Device.Node))],
        };
    }
}
