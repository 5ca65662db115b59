using System.Collections.Immutable;
using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class LayoutSearchTests
{
    private static readonly SliceGeometry Small = PlanningScenarios.Small;
    private static readonly LinkRates Links = new(20e9, 5e9, 1e9, 1e9, 20e-6);
    private static readonly RooflineCostModel Cost = new(Small, Links);
    private static readonly DeviceKind Kind = new("kind", 1L << 30, 100e9, 10e12, 30e-6, 1);

    private static readonly SearchOptions Options = new SearchOptions
    {
        RankCounts = [1, 2, 4],
        BatchSizes = [1, 2, 4],
        StagesMax = 4,
        MigrationBufferBytes = 0,
        SloTarget = TimeSpan.FromSeconds(0.1),
    };

    [Theory]
    [InlineData(Objective.Latency)]
    [InlineData(Objective.Throughput)]
    [InlineData(Objective.Slo)]
    public void Search_finds_what_trying_every_layout_finds(Objective objective) =>
        Gen.Select(Gen.Int[1, 6], Gen.Int[1, 4], Gen.Double[0.1, 2000], Gen.Bool)
            .Sample((machines, devices, rate, isFixed) =>
        {
            var options = Options with
            {
                Objective = objective,
                Batching = isFixed ? Batching.Fixed : Batching.Continuous,
            };
            var load = new Workload(rate, 64, 32);

            var result = new LayoutSearch(Small, Cost, options).Run(Fleet(machines, devices), load);

            var all = EveryLayout(options, machines, devices, load).ToList();
            var enough = all.Where(c => c.Throughput >= rate * (1 + options.Headroom)).ToList();
            var chosen = result.Chosen;
            switch (objective)
            {
                case Objective.Latency when enough.Count > 0:
                    var best = enough.Min(c => c.Latency);
                    Assert.Equal(LoadFit.Roomy, result.Fit);
                    Assert.True(chosen.LatencySeconds <= best * (1 + options.LatencyTieFraction + 1e-5));
                    Assert.Equal(
                        enough.Where(c => c.Latency <= best * (1 + options.LatencyTieFraction)).Min(c => c.Price),
                        chosen.CostPerHour, 9);
                    break;
                case Objective.Slo when enough.Any(c => c.InTarget >= options.SloProbability):
                    Assert.Equal(LoadFit.Roomy, result.Fit);
                    Assert.True(chosen.InTargetProbability >= options.SloProbability);
                    Assert.Equal(
                        enough.Where(c => c.InTarget >= options.SloProbability).Min(c => c.Price),
                        chosen.CostPerHour,
                        9);
                    break;
                case Objective.Slo:
                    var meets = all.Any(c => c.Throughput >= rate && c.InTarget >= options.SloProbability);
                    Assert.Equal(meets ? LoadFit.Tight : LoadFit.Overloaded, result.Fit);
                    // More replicas are taken to be no worse; where all are nearly full they are by some millionths.
                    Assert.InRange(chosen.InTargetProbability, all.Max(c => c.InTarget) - 1e-4, 1);
                    break;
                case Objective.Latency:
                    Assert.Equal(all.Max(c => c.Throughput), chosen.Throughput, 6);
                    Assert.Equal(chosen.Throughput >= rate ? LoadFit.Tight : LoadFit.Overloaded, result.Fit);
                    break;
                default:
                    Assert.Equal(all.Max(c => c.Throughput), chosen.Throughput, 6);
                    Assert.Equal(LoadFit.Roomy, result.Fit);
                    break;
            }
        }, iter: 60);

    [Fact]
    public void What_serves_the_load_with_nothing_to_spare_is_taken_only_where_nothing_has_room()
    {
        var one = new LayoutSearch(Small, Cost, Options).Run(Fleet(1, 1), new Workload(0, 64, 32)).Chosen.Throughput;
        var search = new LayoutSearch(Small, Cost, Options with { RankCounts = [1], StagesMax = 1 });
        var load = new Workload(one * 0.95, 64, 32);

        var (alone, both) = (search.Run(Fleet(1, 1), load), search.Run(Fleet(2, 1), load));

        Assert.Equal((1, LoadFit.Tight), (alone.Chosen.Degrees.Replicas, alone.Fit));
        Assert.Equal((2, LoadFit.Roomy), (both.Chosen.Degrees.Replicas, both.Fit));
    }

    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    [InlineData(4, 1)]
    public void No_more_replicas_take_turns_on_a_processor_than_keep_it_busy(double crowding, int replicas)
    {
        foreach (var objective in (Objective[])[Objective.Throughput, Objective.Latency])
        {
            var options = Options with { RankCounts = [1], BatchSizes = [4], StagesMax = 1, Objective = objective };
            var nodes = Fleet(4, 1, Kind with { Crowding = crowding, PricePerHour = 0 });

            var result = new LayoutSearch(Small, Cost, options).Run(nodes, new Workload(1e6, 64, 32));

            Assert.Equal(replicas, result.Chosen.Degrees.Replicas);
        }
    }

    [Fact]
    public void Of_all_layouts_that_give_the_most_one_of_the_fewest_machines_is_taken() =>
        Gen.Select(Gen.Int[1, 5], Gen.Int[1, 3], Gen.Double[0, 8]).Sample((machines, devices, crowding) =>
        {
            var nodes = Fleet(machines, devices, Kind with { Crowding = crowding });
            var load = new Workload(1, 64, 32);
            var options = Options with { Objective = Objective.Throughput };
            var search = new LayoutSearch(Small, Cost, options);

            var chosen = search.Run(nodes, load).Chosen;

            var all =
                from ranks in options.RankCounts
                from stages in Enumerable.Range(1, options.StagesMax)
                from batch in options.BatchSizes
                from replicas in Enumerable.Range(1, machines * devices)
                select search.Evaluate(nodes, load, new LayoutDegrees(replicas, stages, ranks, batch));
            var tried = all.OfType<Candidate>().ToList();
            var most = tried.Max(candidate => candidate.Throughput) * (1 - 1e-9);
            Assert.True(chosen.Throughput >= most);
            Assert.Equal(
                tried.Where(candidate => candidate.Throughput >= most).Min(candidate => candidate.InstanceCount),
                chosen.InstanceCount);
        }, iter: 60);

    [Fact]
    public void Stages_on_mixed_devices_get_layers_in_proportion_to_their_speed()
    {
        var fast = Kind with { Name = "fast", WeightBytesPerSecond = 300e9 };
        var options = Options with
        {
            Objective = Objective.Throughput,
            RankCounts = [1],
            StagesDivide = 2,
            ReplicaDevicesMin = 2,
        };

        var chosen = new LayoutSearch(Small, Cost, options)
            .Run([new("a", fast, 1), new("b", Kind, 1)], new Workload(1, 64, 32)).Chosen;

        Assert.Equal([new LayerRange(0, 9), new LayerRange(9, 12)], chosen.StageLayers());
        Assert.Equal(["fast", "kind"], chosen.StageKinds());
    }

    [Fact]
    public void Stages_on_mixed_devices_never_get_more_than_the_memory_holds()
    {
        var layer = Small.LayerBytes;
        var front = Small.WeightBytes - Small.BackBytes - (layer * Small.Model.LayerCount);
        var tight = Kind with
        {
            Name = "tight",
            WeightBytesPerSecond = 300e9,
            MemoryBytes = (layer * 4) + (layer / 2) + front,
        };
        var options = Options with { RankCounts = [1], BatchSizes = [1], StagesDivide = 2, ReplicaDevicesMin = 2 };

        var chosen = new LayoutSearch(Small, Cost, options)
            .Run([new("a", tight, 1), new("b", Kind, 1)], new Workload(1, 16, 16)).Chosen;

        Assert.True(chosen.StageLayers()[0].Count <= 4);
        Assert.Equal(12, chosen.StageLayers().Sum(stage => stage.Count));
    }

    [Fact]
    public void A_tensor_group_stays_inside_a_machine_where_it_fits()
    {
        // Two machines of three devices: four devices are left in pairs, the odd ones stay spare.
        var options = Options with { RankCounts = [2], Objective = Objective.Throughput };

        var result = new LayoutSearch(Small, Cost, options).Run(Fleet(2, 3), new Workload(1, 64, 32));

        Assert.Equal(4, result.Chosen.Degrees.DeviceCount);
    }

    [Fact]
    public void The_shortage_of_memory_is_named_when_nothing_fits()
    {
        var tiny = Kind with { MemoryBytes = 10_000 };

        var error = Assert.Throws<MemoryShortException>(() =>
            new LayoutSearch(Small, Cost, Options).Run([new("a", tiny, 1)], new Workload(1, 64, 32)));

        Assert.Contains("the nearest is (1,1,1) with B=1 on kind", error.Message, StringComparison.Ordinal);
        Assert.Contains($"short by {Sizes.Text(error.ShortBytes)}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Impossible_inputs_are_named_errors()
    {
        var search = new LayoutSearch(Small, Cost, Options);
        var load = new Workload(1, 64, 32);

        Assert.Throws<NoDevicesException>(() => search.Run([], load));
        Assert.Throws<PlanningInputException>(() => search.Run(Fleet(1, 0), load));
        Assert.Throws<PlanningInputException>(() => search.Run(Fleet(1, int.MaxValue), load));
        Assert.Throws<PlanningInputException>(() => search.Run(Fleet(1, 1), load with { PromptTokens = int.MaxValue }));
        Assert.Throws<PlanningInputException>(
            () => search.Run(Fleet(1, 1), load with { RequestsPerSecond = double.NaN }));
        Assert.Throws<PlanningInputException>(() => search.Run(Fleet(1, 1), load with { RequestsPerSecond = -1 }));
        Assert.Throws<DuplicateIdException>(() => search.Run([new("a", Kind, 1), new("a", Kind, 1)], load));
        Assert.Throws<PlanningInputException>(() =>
            search.Run([new("a", Kind with { WeightBytesPerSecond = -5 }, 1)], load));
        Assert.Throws<RankCountException>(() =>
            new LayoutSearch(Small, Cost, Options with { RankCounts = [3], RequireRanks = true })
                .Run(Fleet(1, 4), load));
        Assert.Throws<NoLayoutException>(() =>
            new LayoutSearch(Small, Cost, Options with { ReplicaDevicesMin = 9 }).Run(Fleet(1, 4), load));
        Assert.Throws<PlanningInputException>(() =>
            new LayoutSearch(Small, new RooflineCostModel(Small, Links with { InterNode = -1 }), Options)
                .Run(Fleet(1, 1), load));
    }

    [Fact]
    public void The_advisor_asks_for_what_is_missing_and_gives_back_on_demand_instances_first()
    {
        var options = Options with { RankCounts = [1] };
        var alone = EveryLayout(options, 1, 1, new Workload(1, 64, 32)).Max(c => c.Throughput);
        var rules = new FleetRules { AddMax = 20, Spares = 1 };

        var more = FleetPlanner.Wish(Inputs(Fleet(1, 1), alone * 5), rules, serving: null)!;
        var less = FleetPlanner.Wish(
            Inputs([.. Fleet(9, 1).Select(one => one with { IsSpot = one.Node != "m3" })], alone / 1000), rules,
            PlanningScenarios.InOrder(Small, new LayoutDegrees(1, 1, 1, 1), Fleet(9, 1)))!;

        Assert.True(more.Needed >= 6 && more.Delta == more.Needed + 1 - 1, more.ToString());
        Assert.Equal((more.Needed - 1, more.Needed), (more.Add!.AtOnce, more.Add.Count));
        Assert.Empty(more.Release);
        Assert.Null(less.Add);
        Assert.Equal(9 - less.Needed - 1, less.Release.Length);
        Assert.Equal(["m3", "m8"], less.Release.Take(2));
        Assert.DoesNotContain("m0", less.Release);

        PlanningInputs Inputs(ImmutableArray<Instance> fleet, double rate) =>
            new(Small.Model, fleet, new Workload(rate, 64, 32), Links) { Search = options, WorkingBytes = 0 };
    }

    [Fact]
    public void A_model_that_does_not_fit_wants_as_many_machines_as_it_takes()
    {
        var bytes = Small.WeightBytes / 3;
        var inputs = new PlanningInputs(
            Small.Model, [new Instance("m0", Kind with { MemoryBytes = bytes }, 1)], new Workload(0, 64, 32), Links)
        {
            Search = null,
            SequencesMax = 1,
            WorkingBytes = 0,
        };

        var wish = FleetPlanner.Wish(inputs, new FleetRules(), serving: null)!;

        Assert.True(wish.Add is { AtOnce: >= 3 }, wish.ToString());
        Assert.Throws<NoLayoutException>(() => ReconfigurationPlanner.Plan(inputs));
    }

    [Fact]
    public void Inputs_with_other_instances_are_counted_anew()
    {
        var inputs = new PlanningInputs(Small.Model, Fleet(2, 4), new Workload(1, 64, 32), Links);
        Assert.Equal((8, 2), (inputs.Counted.DeviceCount, inputs.Counted.InstanceCount));

        var more = inputs with { Instances = Fleet(3, 4) };

        Assert.Equal(12, more.Counted.DeviceCount);
        Assert.Same(more.Counted, (more with { Margin = 0.5 }).Counted);
        var doubled = more with { Instances = [.. Fleet(1, 4), .. Fleet(1, 4)] };
        Assert.Throws<DuplicateIdException>(doubled.Require);
    }

    private static ImmutableArray<Instance> Fleet(int machines, int devices, DeviceKind? kind = null) =>
        [.. Enumerable.Range(0, machines).Select(i => new Instance($"m{i}", kind ?? Kind, devices))];

    private sealed record Tried(double Latency, double Throughput, double Price, double InTarget);

    /// <summary>Every (D, P, M, B), its figures worked out from the cost model and the queue alone.</summary>
    private static IEnumerable<Tried> EveryLayout(SearchOptions options, int machines, int devices, Workload load)
    {
        foreach (var ranks in options.RankCounts)
        {
            var perMachine = devices / ranks;
            var groups = perMachine > 0 ? machines * perMachine : machines * devices / ranks;
            for (var stages = 1; stages <= Math.Min(options.StagesMax, groups); stages++)
            {
                var shape = ReplicaShape.Even(12, stages, ranks, Kind, devices < ranks);
                foreach (var batch in options.BatchSizes)
                {
                    for (var replicas = 1; replicas <= groups / stages; replicas++)
                    {
                        yield return Try(options, machines, devices, load, shape, batch, replicas);
                    }
                }
            }
        }
    }

    private static Tried Try(
        SearchOptions options, int machines, int devices, Workload load, ReplicaShape shape, int batch, int replicas)
    {
        var full = Cost.Cost(shape, batch, load, options.Batching);
        var throughput = replicas * full.Throughput(load.OutputTokens);
        var execution = full.Execution(load.OutputTokens);
        var queue = QueueEstimate.Of(load.RequestsPerSecond, throughput, replicas, execution, 1);
        if (options.Batching == Batching.Continuous)
            (execution, queue) = Shared(options, load, shape, batch, replicas);
        var groups = replicas * shape.Stages.Length;
        var perMachine = devices / shape.Ranks;
        var used = perMachine > 0
            ? (groups + perMachine - 1) / perMachine
            : Math.Min(machines, ((groups * shape.Ranks) + devices - 1) / devices);
        var inTarget = throughput < load.RequestsPerSecond
            ? 0
            : queue.AtMost(options.SloTarget.TotalSeconds - execution);
        return new Tried(execution + queue.Wait, throughput, used * devices, inTarget);
    }

    /// <summary>The chain of those present, summed from one end to the other.</summary>
    private static (double Even, QueueEstimate Queue) Shared(
        SearchOptions options, Workload load, ReplicaShape shape, int batch, int replicas)
    {
        var pool = Math.Min(16, replicas);
        var arrivals = load.RequestsPerSecond * pool / replicas;
        var sizes = options.BatchSizes.Where(size => size < batch).Append(batch).Order().ToArray();
        var seconds = Array.ConvertAll(
            sizes, size => Cost.Cost(shape, size, load, options.Batching).Execution(load.OutputTokens));
        var places = pool * batch;
        if (Rate(places) < arrivals) return (places / Rate(places), new QueueEstimate(double.PositiveInfinity, 1));
        var least = Enumerable.Range(0, places).First(number => Rate(number + 1) >= arrivals);
        var even = (least + ((arrivals - Rate(least)) / (Rate(least + 1) - Rate(least)))) / arrivals;
        var (weight, sum, mean, more) = (1.0, 1.0, 0.0, 0.0);
        for (var number = 1; number <= places + 20_000 && weight > 0; number++)
        {
            weight *= arrivals / Rate(Math.Min(number, places));
            sum += weight;
            mean += number * weight;
            if (number > least) more += weight;
        }

        var busy = arrivals / Rate(pool);
        var rarer = replicas > 16 && busy < 1 ? Math.Pow(busy, Math.Sqrt(2 * (replicas + 1.0)) - Math.Sqrt(34)) : 1;
        return (
            even,
            new QueueEstimate(
                Math.Max(0, (mean / sum / arrivals) - even) * rarer * pool / replicas,
                Math.Max(1e-9, more / sum) * rarer));

        double Rate(int number)
        {
            var each = Math.Max(1, number / (double)pool);
            var above = Array.FindIndex(sizes, size => size >= each);
            if (above == 0) return number / seconds[0];
            var part = (each - sizes[above - 1]) / (sizes[above] - sizes[above - 1]);
            return number / (seconds[above - 1] + (part * (seconds[above] - seconds[above - 1])));
        }
    }
}
