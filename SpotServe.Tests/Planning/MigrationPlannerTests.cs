using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class MigrationPlannerTests
{
    private static readonly SliceGeometry Small = PlanningScenarios.Small;
    private static readonly LinkRates Links = new(4e6, 1e6, 0, 2e5, 1e-5);

    [Fact]
    public void Every_slice_arrives_once_and_the_replay_takes_the_estimated_time_on_random_changes() =>
        Changes().Sample(problem =>
        {
            var plan = MigrationPlanner.Plan(problem);

            AssertSound(problem, plan);
        }, iter: 400);

    [Fact]
    public void Peak_memory_stays_within_random_budgets_or_the_plan_says_that_none_can() =>
        Gen.Select(Changes(), Gen.Double[0.0, 1.3]).Sample((problem, slack) =>
        {
            var tight = problem with { BudgetBytes = BudgetBetween(problem, slack) };
            try
            {
                AssertSound(tight, MigrationPlanner.Plan(tight));
            }
            catch (MigrationMemoryException error)
            {
                Assert.True(error.ShortBytes > 0);
                Assert.Contains("short by", error.Message, StringComparison.Ordinal);
            }
        }, iter: 400);

    [Fact]
    public void A_budget_of_the_final_need_is_enough_when_the_store_has_the_model() =>
        Changes().Sample(problem =>
        {
            var tight = problem with { BudgetBytes = BudgetBetween(problem, 0) };

            AssertSound(tight, MigrationPlanner.Plan(tight));
        }, iter: 300);

    [Fact]
    public void Random_budgets_without_a_store_keep_the_laws_too() =>
        Gen.Select(Changes(), Gen.Double[0.0, 1.0]).Sample((problem, slack) =>
        {
            var tight = problem with { BudgetBytes = BudgetBetween(problem, slack), Links = Links with { Store = 0 } };
            try
            {
                AssertSound(tight, MigrationPlanner.Plan(tight));
            }
            catch (PlanningException error)
            {
                Assert.True(error is MigrationMemoryException or SourceLostException);
            }
        }, iter: 400);

    [Fact]
    public void A_plan_that_breaks_off_is_followed_by_one_from_what_is_there_then() =>
        Gen.Select(Changes(), Changes(), Gen.Double[0, 1]).Sample((problem, next, part) =>
        {
            var first = MigrationPlanner.Plan(problem);
            var done = first.Steps.Where(step => step.Finish <= part * first.Duration).ToList();
            var again = problem with { Holdings = After(problem, done) };

            var second = MigrationPlanner.Plan(again);

            AssertSound(again, second);
            var arrived = done.OfType<MigrationStep.CopyWeights>().Sum(copy => copy.Bytes);
            Assert.Equal(
                first.Steps.OfType<MigrationStep.CopyWeights>().Sum(copy => copy.Bytes),
                arrived + second.Steps.OfType<MigrationStep.CopyWeights>().Sum(copy => copy.Bytes));
            // And to quite another layout, from pieces that overlap.
            var elsewhere = next with
            {
                Holdings = again.Holdings,
                Inherited = problem.Inherited,
                Caches = problem.Caches,
            };
            if (elsewhere.Target.Degrees.Replicas < problem.Target.Degrees.Replicas) return;
            AssertSound(elsewhere, MigrationPlanner.Plan(elsewhere));
        }, iter: 200);

    [Fact]
    public void Frees_come_early_only_when_memory_is_short()
    {
        var problem = Reshape();
        var roomy = MigrationPlanner.Plan(problem);
        var tight = MigrationPlanner.Plan(problem with { BudgetBytes = BudgetBetween(problem, 0.3) });

        Assert.Equal(MigrationMode.CopyWhileServing, roomy.Mode);
        Assert.DoesNotContain(roomy.Steps, IsEarly);
        Assert.Empty(roomy.Notes);
        Assert.Equal(MigrationMode.StopThenMigrate, tight.Mode);
        Assert.Contains(tight.Steps, IsEarly);
        Assert.Contains(tight.Notes, note => note.Contains("freed early", StringComparison.Ordinal));
    }

    [Fact]
    public void Front_layers_finish_first_without_memory_pressure()
    {
        var plan = MigrationPlanner.Plan(Reshape());

        foreach (var device in plan.Steps.OfType<MigrationStep.CopyWeights>().GroupBy(copy => copy.To))
        {
            var layers = device.OrderBy(copy => copy.Finish).Where(copy => copy.Slice.Group == TensorGroup.Layers)
                .Select(copy => copy.Slice.Layers.First).ToList();
            Assert.Equal(layers.Order(), layers);
        }

    }

    [Fact]
    public void Stages_start_front_first_when_they_read_from_one_source()
    {
        var fleet = PlanningScenarios.Fleet(5, 1);
        var before = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 1, 1, 1), fleet);
        var after = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 4, 1, 1), fleet.RemoveAt(0));

        var plan = MigrationPlanner.Plan(Problem(before, after, []) with { Links = Links with { Store = 0 } });

        for (var stage = 1; stage < 4; stage++)
        {
            Assert.True(plan.StageStart[stage - 1] < 0.9 * plan.StageStart[stage]);
        }
    }

    [Fact]
    public void Weights_that_only_a_leaving_node_has_go_first_when_they_would_be_too_late_otherwise()
    {
        // One machine holds the front half and stays; the other holds the back half and leaves when that can just be
        // sent.
        var fleet = PlanningScenarios.Fleet(3, 1);
        var before = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 2, 1, 1), fleet);
        var after = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 1, 1, 1), fleet.RemoveRange(0, 2));
        var problem = Problem(before, after, PlanningScenarios.Caches(before.Degrees, 400)) with
        {
            Links = Links with { Store = 0 },
        };
        var backHalf = Small.NeedBytes(PositionNeed.Of(before, new Position(0, 1, 0)));
        var leaving = problem with
        {
            Leaving = Leaves("n001", TimeSpan.FromSeconds((1.02 * backHalf / Links.InterNode) + 0.001)),
        };

        var plan = MigrationPlanner.Plan(leaving);

        AssertSound(leaving, plan);
        Assert.Contains(plan.Notes, note => note.Contains("go first", StringComparison.Ordinal));
        Assert.All(plan.Steps.OfType<MigrationStep.CopyWeights>().Where(copy => copy.From.Device.Node == "n001"),
            copy =>
            Assert.True(copy.Finish <= leaving.Leaving["n001"]));
    }

    [Fact]
    public void Link_loads_add_up_to_what_moves_and_bound_the_duration()
    {
        var problem = Reshape() with { CopyWhileServing = false };
        var plan = MigrationPlanner.Plan(problem);

        var loads = plan.LinkLoads(problem.Links);

        Assert.Equal(plan.Moved.InterNode, loads.Where(load => load.Link == NodeLink.Out).Sum(load => load.Bytes));
        Assert.Equal(plan.Moved.IntraNode, loads.Where(load => load.Link == NodeLink.Within).Sum(load => load.Bytes));
        Assert.True(loads[0].Busy <= plan.Duration + TimeSpan.FromMicroseconds(plan.Steps.Length));
    }

    [Fact]
    public void Weights_move_before_pages_as_executors_move_them()
    {
        var plan = MigrationPlanner.Plan(Reshape() with { CopyWhileServing = false });

        var lastWeights = plan.Steps.OfType<MigrationStep.CopyWeights>().Max(step => step.Id);
        var firstCache = plan.Steps.OfType<MigrationStep.CopyCache>().Min(step => step.Id);
        Assert.True(lastWeights < firstCache);
    }

    [Fact]
    public void A_pause_is_the_tail_and_not_the_model_when_copying_while_serving()
    {
        var serving = MigrationPlanner.Plan(Reshape());
        var stopped = MigrationPlanner.Plan(Reshape() with { CopyWhileServing = false });

        Assert.True(serving.Pause < stopped.Pause / 4, $"{serving.Pause} against {stopped.Pause}");
    }

    [Fact]
    public void A_leaving_device_is_a_source_only_while_it_lasts()
    {
        var fleet = PlanningScenarios.Fleet(5, 2);
        var before = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 2, 4, 2), fleet);
        var after = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 4, 2, 2), fleet.RemoveAt(0));
        var caches = PlanningScenarios.Caches(before.Degrees, 70);
        var problem = Problem(before, after, caches) with { Links = Links with { Store = 0 } };
        const string leaving = "n000";
        var long_ = problem with { Leaving = Leaves(leaving, TimeSpan.FromHours(1)) };
        var short_ = problem with { Leaving = Leaves(leaving, TimeSpan.FromTicks(1)) };

        Assert.Contains(MigrationPlanner.Plan(long_).Steps.OfType<MigrationStep.CopyWeights>(), copy =>
            copy.From.Device.Node == leaving);
        Assert.Throws<SourceLostException>(() => MigrationPlanner.Plan(short_));
        var stored = MigrationPlanner.Plan(short_ with { Links = Links });
        Assert.DoesNotContain(stored.Steps, step => step is MigrationStep.CopyWeights copy
            && copy.From.Kind == SourceKind.Peer && copy.From.Device.Node == leaving);
        Assert.Contains(stored.Steps, step => step is MigrationStep.CopyWeights { From.Kind: SourceKind.Store });
        Assert.True(stored.CacheGivenUp);
        Assert.Throws<PlanningInputException>(() =>
            MigrationPlanner.Plan(Reshape() with { Leaving = Leaves(leaving, TimeSpan.FromHours(1)) }));
    }

    [Fact]
    public void Nothing_moves_when_nothing_changed()
    {
        var layout = PlanningScenarios.InOrder(Small, new LayoutDegrees(2, 2, 4, 2), PlanningScenarios.Fleet(4, 4));
        var plan = MigrationPlanner.Plan(Problem(layout, layout, PlanningScenarios.Caches(layout.Degrees, 40)));

        Assert.Equal(0, plan.Moved.Total);
        Assert.Equal(TimeSpan.Zero, plan.Duration);
    }

    [Fact]
    public void Equal_sources_share_the_load()
    {
        // Four replicas serve; a fifth joins empty: each of its devices has four devices to read from.
        var fleet = PlanningScenarios.Fleet(5, 4);
        var before = PlanningScenarios.InOrder(Small, new LayoutDegrees(4, 1, 4, 1), fleet);
        var after = PlanningScenarios.InOrder(Small, new LayoutDegrees(5, 1, 4, 1), fleet);

        var plan = MigrationPlanner.Plan(Problem(before, after, []) with { Links = Links with { Store = 0 } });

        var sent = plan.Steps.OfType<MigrationStep.CopyWeights>().GroupBy(copy => copy.From.Device.Node)
            .Select(node => node.Sum(copy => copy.Bytes)).ToList();
        Assert.Equal(4, sent.Count);
        Assert.True(sent.Max() < 1.3 * sent.Min());
    }

    [Fact]
    public void Impossible_inputs_are_named_errors()
    {
        var problem = Reshape();

        Assert.Throws<PlanningInputException>(() =>
            MigrationPlanner.Plan(problem with { Links = Links with { InterNode = -1 } }));
        Assert.Throws<PlanningInputException>(() =>
            MigrationPlanner.Plan(problem with { Links = Links with { IntraNode = double.NaN } }));
        Assert.Throws<DuplicateIdException>(() =>
            MigrationPlanner.Plan(problem with { Holdings = problem.Holdings.Add(problem.Holdings[0]) }));
        var error = Assert.Throws<MigrationMemoryException>(() =>
            MigrationPlanner.Plan(problem with { BudgetBytes = 1000 }));
        Assert.Contains("the new position alone is too large", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Holdings when some steps are done and the rest never happens; KV pages that moved are not
    /// counted.</summary>
    private static ImmutableArray<Holding> After(MigrationProblem problem, List<MigrationStep> done)
    {
        var holdings = problem.Holdings.ToDictionary(holding => holding.Device);
        foreach (var copy in done.OfType<MigrationStep.CopyWeights>())
        {
            var holding = holdings.GetValueOrDefault(copy.To) ?? Holding.Empty(copy.To);
            holdings[copy.To] = holding with { Weights = holding.Weights.Add(copy.Slice) };
        }

        return [.. holdings.Values];
    }

    internal static Gen<MigrationProblem> Changes() =>
        Gen.Select(
            PlanningScenarios.AfterChange(Small, machines: 4, devicesEach: 2, [1, 2, 4, 8]),
            Gen.Bool,
            Gen.Bool,
            Gen.Bool,
            Gen.Double[0.1, 4].Array[4]).Select((mapping, serving, mapped, disk, factors) =>
        {
            var placed = mapped
                ? DeviceMapper.Map(mapping).Layout
                : PlanningScenarios.InOrder(Small, mapping.Degrees, mapping.Instances.Reverse());
            return new MigrationProblem(Small, placed, mapping.Holdings, mapping.Inherited, Links)
            {
                CopyWhileServing = serving,
                Caches = CachesOf(mapping),
                DiskNodes = disk ? [mapping.Instances[0].Node] : [],
                CutOverOverhead = TimeSpan.FromMilliseconds(10),
            } with
            {
                Links = disk ? Links with { Disk = 5e5 } : Links,
                LinksOf = mapping.Instances.Skip(1).Zip(factors, (machine, factor) => (machine.Node, factor))
                    .ToImmutableDictionary(
                        node => node.Node,
                        node => Links with { InterNode = Links.InterNode * node.factor, Disk = disk ? 5e5 : 0 }),
            };
        });

    internal static void AssertSound(MigrationProblem problem, MigrationPlan plan)
    {
        var replay = MigrationSimulator.Replay(problem, plan);

        Assert.Empty(replay.Violations);
        Assert.Equal(plan.Duration.TotalSeconds, replay.Duration.TotalSeconds, tolerance: 1e-5);
        for (var i = 0; i < plan.Steps.Length; i++)
        {
            Assert.Equal(plan.Steps[i].Finish.TotalSeconds, replay.Finish[i].TotalSeconds, tolerance: 1e-5);
            Assert.All(plan.Steps[i].After, before => Assert.True(before < i));
        }

        for (var i = 0; i < plan.PeakBytes.Length; i++)
        {
            var device = plan.Target.Placement[i];
            Assert.True(replay.PeakBytes.GetValueOrDefault(device) <= plan.PeakBytes[i]);
            Assert.True(plan.PeakBytes[i] <= problem.BudgetFor(device));
        }
    }

    /// <summary>From the larger of what is held and what is needed in the end (0) to old and new side by side
    /// (1).</summary>
    private static long BudgetBetween(MigrationProblem problem, double slack)
    {
        var scene = new MigrationSceneView(problem);
        return (long)(scene.Least + (slack * (scene.Most - scene.Least)));
    }

    private static bool IsEarly(MigrationStep step) =>
        step is MigrationStep.FreeWeights { Early: true } or MigrationStep.FreeCache { Early: true };

    private static ImmutableDictionary<string, TimeSpan> Leaves(string node, TimeSpan left) =>
        ImmutableDictionary<string, TimeSpan>.Empty.Add(node, left);

    private static ImmutableArray<ReplicaCache> CachesOf(MappingProblem mapping) =>
        [.. mapping.Inherited.Kept.GroupBy(cache => cache.OldReplica)
            .Select(group => new ReplicaCache(group.Key, [.. group.SelectMany(cache => cache.Requests)]))];

    private static MigrationProblem Reshape()
    {
        var fleet = PlanningScenarios.Fleet(4, 2);
        var before = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 2, 4, 2), fleet);
        var after = PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 4, 2, 2), fleet);
        return Problem(before, after, PlanningScenarios.Caches(before.Degrees, 70));
    }

    private static MigrationProblem Problem(Layout before, Layout after, ImmutableArray<ReplicaCache> caches)
    {
        var holdings = Holding.All(Small, before);
        return new MigrationProblem(
            Small, after, holdings, CacheInheritance.Plan(Small, caches, holdings, after.Degrees), Links)
        {
            Caches = caches,
        };
    }

    private sealed class MigrationSceneView
    {
        public MigrationSceneView(MigrationProblem problem)
        {
            var stopped = MigrationPlanner.Plan(problem with { BudgetBytes = long.MaxValue });
            Most = stopped.PeakBytes.Max();
            Least = stopped.Target.Positions.Max(position => Math.Max(
                problem.Geometry.NeedBytes(PositionNeed.Of(stopped.Target, position))
                    + KvBytes(problem, stopped, position),
                MigrationSimulator.Replay(problem with { Target = stopped.Target }, Still(stopped))
                    .PeakBytes.GetValueOrDefault(stopped.Target.DeviceAt(position))));
        }

        public long Least { get; }

        public long Most { get; }

        /// <summary>No copies: the peak is what is held at the start.</summary>
        private static MigrationPlan Still(MigrationPlan plan) =>
            plan with { Steps = [new MigrationStep.Serve(0, [], TimeSpan.Zero, TimeSpan.Zero)] };

        private static long KvBytes(MigrationProblem problem, MigrationPlan plan, Position position)
        {
            var need = PositionNeed.Of(plan.Target, position);
            var heads = TensorSlices.KvHeads(problem.Geometry.Model, need.Rank, need.Ranks);
            var tokens = problem.Inherited.Kept.Where(c => c.NewReplica == position.Replica).Sum(c => c.PageTokens);
            return problem.Geometry.KvBytes(tokens, need.Layers.Count, (int)heads.Count);
        }
    }
}
