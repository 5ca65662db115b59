using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

/// <summary>Nodes that share a processor slow each other down by more than their share of it, and that is learned apart
/// from what a replica takes alone.</summary>
public sealed class NeighbourSlowingTests
{
    private const int Alone = ProcessorDemand.LevelMin;
    private const int Twice = 2;

    /// <summary>One of four on two cores.</summary>
    private static readonly DeviceKind Kind = new("cpu", 1L << 40, 2e10, 2e11, 2e-5, 0) { Crowding = 2 };

    private static readonly double[] Demands = [0.5, 0.6, 0.71, 0.9, 1, 1.3, 1.5, 2, 3, 4];
    private static readonly int[] Batches = [1, 2, 3, 8, 16, 64];

    private static readonly Workload Load = new(1, 64, 64);
    private static readonly ReplicaShape Shape = ReplicaShape.Even(2, 1, 1, Kind);
    private static readonly RooflineCostModel Plain = new(PlanningScenarios.Small, new LinkRates(6e9, 6e9, 0, 0, 3e-5));

    [Fact]
    public void Replica_alone_is_expected_as_it_was_alone_whatever_crowded_ones_taught_since()
    {
        var model = Taught((1, Alone, 2.0), (1, Twice, 3.4), (4, Twice, 3.4), (16, Twice, 3.4));

        Assert.Equal(2, Ratio(model, 1, demand: 0.5), 6);
        Assert.Equal(3.4, Ratio(model, 1, demand: 2), 6);
        Assert.Equal(3.4, Ratio(model, 16, demand: 2), 6);
    }

    [Fact]
    public void Batch_size_that_was_measured_in_a_crowd_only_is_expected_alone_as_those_that_were_measured_both_ways()
    {
        var model = Taught((1, Alone, 2.0), (1, Twice, 3.0), (16, Twice, 6.0));

        Assert.InRange(Ratio(model, 16, demand: 0.5), 3.9, 4.2);
        Assert.Equal(6, Ratio(model, 16, demand: 2), 6);
        Assert.Equal(Math.Sqrt(2.0 * 3), Ratio(model, 1, demand: 1), 6);
    }

    /// <summary>Replicas that make more alone than four together are not taken for a fourth of them.</summary>
    [Fact]
    public void Throughput_of_many_replicas_is_that_of_neighbours_and_latency_of_a_few_requests_that_of_one_alone()
    {
        var model = Taught((1, Alone, 2.0), (16, Alone, 2.0), (1, Twice, 4.0), (16, Twice, 4.0));
        var search = new LayoutSearch(
            PlanningScenarios.Small, model, new SearchOptions { RankCounts = [1], BatchSizes = [16], StagesMax = 1 });
        var nodes = Enumerable.Range(0, 4).Select(i => new Instance($"n{i}", Kind, 1)).ToArray();

        var (one, four) = (Evaluated(1), Evaluated(4));

        Assert.Equal(one.Throughput, four.Throughput, one.Throughput * 1e-9);
        Assert.Equal(one.ExecutionSeconds, four.ExecutionSeconds, one.ExecutionSeconds * 0.01);

        Candidate Evaluated(int replicas) => search.Evaluate(
            [.. nodes], Load with { RequestsPerSecond = 0.001 }, new LayoutDegrees(replicas, 1, 1, 16))!;
    }

    [Fact]
    public void Neighbours_take_their_share_or_more_and_more_sequences_no_less_time_whatever_was_measured() =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[Alone, 4], Gen.Double[0.5, 8]).Array[1, 30].Sample(measured =>
        {
            var model = Taught([.. measured.Select(one => (1 << one.Item1, one.Item2, one.Item3))]);

            var sizes = measured.Select(one => 1 << one.Item1).Distinct().Order().ToArray();
            foreach (var batch in Batches)
            {
                var ratios = Demands.Select(demand => Ratio(model, batch, demand)).ToArray();
                for (var i = 1; i < ratios.Length; i++) Assert.True(ratios[i] >= ratios[i - 1] * 0.999, Told(ratios));
            }

            var steps = sizes.Select(size => Step(model, size)).ToArray();
            for (var i = 1; i < steps.Length; i++) Assert.True(steps[i] >= steps[i - 1] * 0.999, Told(steps));
        });

    /// <summary>Once four busy replicas were taught as if they took less than their share of two cores, by cells that
    /// had been measured while something else ran, and four were taken where two answered in half the time.</summary>
    [Fact]
    public void Neighbours_that_seem_to_take_less_than_their_share_are_taken_to_take_it()
    {
        var model = Taught((1, Alone, 4.0), (1, Twice, 1.0));

        Assert.Equal(2, Ratio(model, 1, demand: 0.5), 6);
        Assert.Equal(2, Ratio(model, 1, demand: 2), 6);
    }

    [Fact]
    public void What_was_measured_beside_one_number_of_neighbours_says_nothing_of_others() =>
        Assert.Null(Taught((1, Twice, 3.4), (4, Twice, 3.4)).Cost(Shape, 1, Load, Batching.Continuous).Slowing);

    private static string Told(double[] values) => string.Join(", ", values);

    private static CorrectedCostModel Taught(params (int Batch, int Demand, double Ratio)[] measured)
    {
        var model = new CorrectedCostModel(Plain);
        foreach (var (batch, demand, ratio) in measured)
        {
            var predicted = Plain.Cost(Shape, batch, Load, Batching.Continuous);
            model = model.With(new MeasuredTimes(
                Shape, batch, Load, Batching.Continuous, predicted.Step * ratio, predicted.Prefill * ratio, 1e12)
            {
                Demand = demand,
            });
        }

        return model;
    }

    private static double Step(CorrectedCostModel model, int batch) =>
        model.Cost(Shape, batch, Load, Batching.Continuous).Step;

    /// <summary>Of a step to what was predicted and slowed down by its share.</summary>
    private static double Ratio(CorrectedCostModel model, int batch, double demand)
    {
        var cost = model.Cost(Shape, batch, Load, Batching.Continuous);
        return cost.Step * (cost.Slowing?.At(demand) ?? 1) / Plain.Cost(Shape, batch, Load, Batching.Continuous).Step;
    }
}
