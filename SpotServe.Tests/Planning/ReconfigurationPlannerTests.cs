using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class ReconfigurationPlannerTests
{
    private static readonly SliceGeometry Small = PlanningScenarios.Small;
    private static readonly LinkRates Links = new(4e7, 1e7, 5e6, 2e6, 1e-5);
    private static readonly DeviceKind Slow = new("slow", 4L << 20, 100e6, 10e9, 30e-6, 1);
    private static readonly DeviceKind Fast = new("fast", 6L << 20, 300e6, 30e9, 30e-6, 2.5);

    [Fact]
    public void Any_notice_on_any_fleet_gives_a_sound_plan_or_a_named_error() =>
        Gen.Select(
            Gen.Bool.Array[2, 5],
            Gen.Int[1, 4],
            PlanningScenarios.Degrees(20, 1, 2, 4),
            Gen.Int[0, 120],
            Gen.Double[0, 5],
            Gen.Enum<Objective>(),
            Gen.Bool.Array[5]).Sample((fast, devices, current, tokens, notice, objective, leaves) =>
        {
            var fleet = fast.Select((isFast, i) => new Instance($"m{i}", isFast ? Fast : Slow, devices))
                .ToImmutableArray();
            if (current.DeviceCount > fleet.Length * devices) return;
            var inputs = Request(fleet, current, tokens, notice, objective, leaves);
            try
            {
                var plan = ReconfigurationPlanner.Plan(inputs);

                Assert.DoesNotContain(plan.Mapping.Layout.Placement, d => inputs.Leaving.ContainsKey(d.Node));
                MigrationPlannerTests.AssertSound(ProblemOf(inputs, plan), plan.Migration);
            }
            catch (PlanningException error)
            {
                Assert.True(error is NoDevicesException or MemoryShortException or MigrationMemoryException
                    or NoLayoutException, error.ToString());
            }
        }, iter: 300);

    [Fact]
    public void A_node_that_both_stays_and_leaves_is_a_named_error()
    {
        ImmutableArray<Instance> fleet = [new("a", Fast, 2), new("b", Fast, 2)];
        var inputs = Request(fleet, new LayoutDegrees(1, 1, 2, 2), 10, 30, Objective.Latency, [false, false]) with
        {
            Leaving = ImmutableDictionary<string, TimeSpan>.Empty.Add("a", TimeSpan.FromSeconds(3)),
        };

        Assert.Throws<DuplicateIdException>(() => ReconfigurationPlanner.Plan(inputs));
    }

    [Fact]
    public void A_cold_start_loads_everything_and_serves_at_once_after_it()
    {
        var inputs = new PlanningInputs(Small.Model, [new("a", Fast, 4)], new Workload(0.1, 32, 32), Links)
        {
            Search = new SearchOptions { MigrationBufferBytes = 0 },
            WorkingBytes = 0,
        };

        var plan = ReconfigurationPlanner.Plan(inputs);

        Assert.Equal(MigrationMode.StopThenMigrate, plan.Migration.Mode);
        Assert.True(plan.Migration.Moved.Store > 0);
        Assert.Equal(0, Assert.IsType<CutOver.AfterSteps>(plan.CutOver).Steps);
    }

    private static PlanningInputs Request(
        ImmutableArray<Instance> fleet,
        LayoutDegrees current,
        int tokens,
        double notice,
        Objective objective,
        bool[] leaves)
    {
        var layout = PlanningScenarios.InOrder(Small, current, fleet);
        var leaving = fleet.Where((_, i) => leaves[i % leaves.Length] && i > 0).ToList();
        return new PlanningInputs(Small.Model, [.. fleet.Except(leaving)], new Workload(5, 32, 32), Links)
        {
            Search = new SearchOptions
            {
                Objective = objective,
                BatchSizes = [1, 2, 4],
                RankCounts = [1, 2, 4],
                StagesMax = 6,
                MigrationBufferBytes = 0,
            },
            WorkingBytes = 0,
            Serving = new ServingLayout(layout, LayoutAssembly.PagesPerReplica(
                Small.Model, layout, position => Memory(fleet, layout.DeviceAt(position)), workingBytes: 0)),
            Holdings = Holding.All(Small, layout),
            Caches = PlanningScenarios.Caches(current, tokens, requests: 1),
            Leaving = leaving.ToImmutableDictionary(i => i.Node, _ => TimeSpan.FromSeconds(notice)),
        };
    }

    private static long Memory(ImmutableArray<Instance> fleet, DeviceId device) =>
        fleet.First(instance => instance.Node == device.Node).DeviceMemoryBytes();

    private static MigrationProblem ProblemOf(PlanningInputs inputs, Reconfiguration plan) =>
        new(Small, plan.Layout, inputs.Holdings, plan.Inherited, Links)
        {
            Caches = inputs.Caches,
            Leaving = inputs.Leaving,
        };
}
