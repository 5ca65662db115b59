using SpotServe.Actors.Planning;
using SpotServe.Actors.Simulation;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class CostModelTests
{
    private static readonly LinkRates Links = new(20e9, 5e9, 1e9, 1e9, 20e-6);
    private static readonly Workload Load = new(1, 512, 128);

    /// <summary>Of a replica that was busy for so long nothing older counts.</summary>
    private const double ForGood = 1e9;

    [Fact]
    public void Roofline_is_bound_by_weights_in_decode_and_by_arithmetic_in_prefill()
    {
        var geometry = PlanningScenarios.Gpt;
        var roofline = new RooflineCostModel(geometry, Links);
        var kind = PaperSetup.T4 with { LayerOverheadSeconds = 0 };
        var shape = ReplicaShape.Even(44, 1, 1, kind);

        var cost = roofline.Cost(shape, 1, Load, Batching.Fixed);

        var weights = (geometry.LayerBytes * 44) + geometry.BackBytes;
        Assert.InRange(cost.Step, weights / kind.WeightBytesPerSecond, 1.05 * weights / kind.WeightBytesPerSecond);
        var flops = 2.0 * geometry.LayerBytes / 4 * 44 * 512;
        Assert.InRange(cost.Prefill, flops / kind.FlopsPerSecond, 1.1 * flops / kind.FlopsPerSecond);
    }

    [Fact]
    public void Roofline_gets_faster_with_ranks_and_slower_when_they_span_machines()
    {
        var roofline = new RooflineCostModel(PlanningScenarios.Gpt, Links);
        double Step(int ranks, bool spans) => roofline.Cost(
            ReplicaShape.Even(44, 1, ranks, PaperSetup.T4, spans), 1, Load, Batching.Fixed).Step;

        Assert.True(Step(4, false) < Step(2, false));
        Assert.True(Step(4, false) < Step(4, true));
    }

    [Fact]
    public void A_step_takes_no_longer_with_continuous_batching_since_the_pipeline_stays_full()
    {
        var shape = ReplicaShape.Even(44, 3, 4, PaperSetup.T4);
        ICostModel[] models =
            [new ProfileCostModel(PaperShapes.GptProfile), new RooflineCostModel(PlanningScenarios.Gpt, Links)];
        foreach (var model in models)
        {
            var (full, emptied) = (
                model.Cost(shape, 4, Load, Batching.Continuous).Step, model.Cost(shape, 4, Load, Batching.Fixed).Step);

            Assert.True(full <= emptied);
        }
    }

    [Fact]
    public void A_measured_step_time_corrects_the_prediction_and_outlives_small_noise()
    {
        var shape = ReplicaShape.Even(44, 1, 4, PaperSetup.T4);
        var other = ReplicaShape.Even(44, 1, 2, PaperSetup.T4);
        var plain = new RooflineCostModel(PlanningScenarios.Gpt, Links);
        var predicted = plain.Cost(shape, 4, Load, Batching.Fixed);
        MeasuredTimes Measured(double factor, double seconds) =>
            Times(plain, shape, 4, Batching.Fixed, factor, seconds);

        var corrected = new CorrectedCostModel(plain).With(Measured(1.5, ForGood));

        Assert.Equal(1.5, corrected.Cost(shape, 4, Load, Batching.Fixed).Step / predicted.Step, 6);
        Assert.Equal(1.5, corrected.Cost(shape, 1, Load, Batching.Fixed).Step
            / plain.Cost(shape, 1, Load, Batching.Fixed).Step, 9);
        Assert.Equal(1.5, corrected.Cost(other, 4, Load, Batching.Fixed).Step
            / plain.Cost(other, 4, Load, Batching.Fixed).Step, 9);
        Assert.InRange(
            corrected.With(Measured(3, 1)).Cost(shape, 4, Load, Batching.Fixed).Step / predicted.Step, 1.5, 2);
        Assert.Equal(16, new CorrectedCostModel(plain).With(Measured(1000, ForGood))
            .Cost(shape, 4, Load, Batching.Fixed).Step / predicted.Step, 6);
    }

    /// <summary>The first steps of a layout are its slowest: code is compiled, caches are cold.</summary>
    [Fact]
    public void A_batch_size_that_was_measured_for_a_moment_is_expected_like_its_neighbours()
    {
        var shape = ReplicaShape.Even(44, 1, 4, PaperSetup.T4);
        var plain = new RooflineCostModel(PlanningScenarios.Gpt, Links);
        var known = new CorrectedCostModel(plain).With(Measured(1, 1.5, ForGood));

        Assert.InRange(Ratio(known.With(Measured(8, 15, 0.1))), 1.5, 2.3);
        var learned = Enumerable.Range(0, 15).Aggregate(known, (model, _) => model.With(Measured(8, 15, 1)));
        Assert.InRange(Ratio(learned), 14, 15);

        double Ratio(CorrectedCostModel model) => model.Cost(shape, 8, Load, Batching.Continuous).Step
            / plain.Cost(shape, 8, Load, Batching.Continuous).Step;

        MeasuredTimes Measured(int batch, double factor, double seconds) =>
            Times(plain, shape, batch, Batching.Continuous, factor, seconds);
    }

    /// <summary>Devices of which a sequence costs more than the model knows: alone it is right, of sixteen it is
    /// not.</summary>
    [Fact]
    public void A_correction_is_that_of_its_batch_size_and_between_two_in_proportion()
    {
        var shape = ReplicaShape.Even(44, 1, 4, PaperSetup.T4);
        var plain = new RooflineCostModel(PlanningScenarios.Gpt, Links);

        var corrected = new CorrectedCostModel(plain).With(Measured(1, 1)).With(Measured(16, 4)).With(Measured(15, 4));

        Assert.Equal(1, Ratio(1), 9);
        Assert.Equal(2, Ratio(4), 9);
        Assert.Equal(4, Ratio(16), 9);
        Assert.Equal(4, Ratio(64), 9);
        Assert.Equal(2, corrected.Corrections.ByShape.Length);

        double Ratio(int batch) => corrected.Cost(shape, batch, Load, Batching.Continuous).Step
            / plain.Cost(shape, batch, Load, Batching.Continuous).Step;

        MeasuredTimes Measured(int batch, double factor) =>
            Times(plain, shape, batch, Batching.Continuous, factor, ForGood);
    }

    /// <summary>Four and eight sequences were once measured while a machine was busy with other things, and sixteen
    /// when it was not: two replicas of eight each were expected to be quicker than three of five.</summary>
    [Fact]
    public void A_step_takes_no_less_time_for_more_sequences_whatever_was_measured_of_them()
    {
        var shape = ReplicaShape.Even(6, 1, 1, PaperSetup.T4);
        var plain = new RooflineCostModel(PlanningScenarios.Gpt, Links);
        CostCorrection[] measured =
        [
            // As somebody may write them into a file for the plan verb: in no order, and others between.
            new(1, PaperSetup.T4.Name, 10.11, 10) { BatchSize = 8, Seconds = 2 },
            new(2, PaperSetup.T4.Name, 1.5, 1) { BatchSize = 1 },
            new(1, PaperSetup.T4.Name, 6.13, 6) { BatchSize = 1 },
            new(1, PaperSetup.T4.Name, 10.57, 10) { BatchSize = 4 },
            new(1, PaperSetup.T4.Name, 5.77, 6) { BatchSize = 16 },
        ];

        var corrected = new CorrectedCostModel(plain, new CostCorrections([.. measured], 5.77, 6));

        int[] sizes = [1, 2, 4, 8, 16, 32];
        var steps = sizes.Select(size => Step(corrected, size)).ToArray();
        Assert.Equal(steps.Order(), steps);
        Assert.Equal(6.13, steps[0] / Step(plain, 1), 9);
        Assert.InRange(steps[4] / Step(plain, 16), 7, 10);
        Assert.Equal(10, corrected.Cost(shape, 8, Load, Batching.Continuous).Prefill
            / plain.Cost(shape, 8, Load, Batching.Continuous).Prefill, 9);

        double Step(ICostModel model, int batch) => model.Cost(shape, batch, Load, Batching.Continuous).Step;
    }

    [Fact]
    public void Profile_is_read_between_its_points_along_a_line()
    {
        var table = PaperShapes.GptProfile;

        Assert.Equal((64.61 + 132.855) / 2, table.Layer(4, 3).Init, 6);
        Assert.Equal(132.855 + (132.855 - 64.61), table.Layer(4, 6).Init, 6);
        Assert.Equal(37.562, table.Layer(4, 1).Init, 6);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("""{ "layer_num": 4, "tp-x": {} }""")]
    [InlineData("""{ "layer_num": 4, "tp-1": { "bsz-1": { "init": -1, "incr": 1 } } }""")]
    public void A_profile_that_is_none_is_a_named_error(string json) =>
        Assert.Throws<PlanningInputException>(() => ProfileTable.Parse(json));

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(32)]
    public void The_wait_is_near_the_exact_one_of_a_queue_with_many_servers(int servers)
    {
        foreach (var load in new[] { 0.5, 0.8, 0.95 })
        {
            var exact = ErlangC(servers, load * servers) / (servers * (1 - load));

            // A squared variation of 2 makes the factor one: arrivals and service are then as random as in M/M/c.
            var wait = QueueEstimate.Of(load * servers, servers, servers, 1, 2).Wait;

            Assert.InRange(wait, 0.7 * exact - 0.002, (1.35 * exact) + 0.002);
        }
    }

    [Fact]
    public void The_queue_has_no_wait_when_idle_and_no_end_when_overloaded()
    {
        Assert.Equal(0, QueueEstimate.Of(0, 1, 1, 1, 1).Wait);
        Assert.Equal(1, QueueEstimate.Of(0, 1, 1, 1, 1).AtMost(0));
        Assert.True(double.IsInfinity(QueueEstimate.Of(2, 1, 1, 1, 1).Wait));
        Assert.Equal(0, QueueEstimate.Of(2, 1, 1, 1, 1).AtMost(100));
        Assert.Throws<PlanningInputException>(() => QueueEstimate.Of(double.NaN, 1, 1, 1, 1));
    }

    /// <summary>All that a replica does takes so many times what the model says.</summary>
    private static MeasuredTimes Times(
        RooflineCostModel model, ReplicaShape shape, int batch, Batching batching, double factor, double seconds)
    {
        var predicted = model.Cost(shape, batch, Load, batching);
        return new MeasuredTimes(
            shape, batch, Load, batching, predicted.Step * factor, predicted.Prefill * factor, seconds);
    }

    private static double ErlangC(int servers, double offered)
    {
        var blocked = 1.0;
        for (var k = 1; k <= servers; k++) blocked = offered * blocked / (k + (offered * blocked));
        return blocked / (1 - (offered / servers * (1 - blocked)));
    }
}
