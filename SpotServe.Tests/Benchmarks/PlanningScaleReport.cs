using System.Diagnostics;
using System.Globalization;
using Google.OrTools.Graph;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Benchmarks;

/// <summary>
/// The planner's speed, as tables. Not part of a plain test run: start them with
/// <c>SpotServe.Tests -explicit only -class SpotServe.Tests.Benchmarks.PlanningScaleReport -showLiveOutput</c>.
/// </summary>
public sealed class PlanningScaleReport
{
    private const int Rounds = 7;

    [Theory(Explicit = true)]
    [InlineData("same shape")]
    [InlineData("reshape")]
    [InlineData("free search")]
    public void Planning_from_notice_to_steps_stays_within_its_time_and_grows_slower_than_n_to_the_2_2(string scenario)
    {
        int[] sizes = [256, 512, 1024, 2048, 4096];
        var seconds = new double[sizes.Length];
        Write($"{scenario}: GPUs, best ms, median ms, search, mapping, migration (of the best), steps, layout");
        for (var i = 0; i < sizes.Length; i++)
        {
            var request = scenario == "free search"
                ? PlanningScenario.FreeSearch(sizes[i])
                : PlanningScenario.Notice(sizes[i], scenario == "reshape");
            var times = new List<double>();
            Reconfiguration? plan = null;
            for (var round = 0; round < Rounds; round++)
            {
                GC.Collect();
                var watch = Stopwatch.StartNew();
                plan = ReconfigurationPlanner.Plan(request);
                times.Add(watch.Elapsed.TotalSeconds);
            }

            seconds[i] = times.Min();
            Write(string.Create(CultureInfo.InvariantCulture,
                $"| {sizes[i]} | {seconds[i] * 1000:0.0} | {Median(times):0.0} | {Parts(request)} ")
                + $"| {plan!.Migration.Steps.Length} | {plan.Mapping.Layout.Degrees} |");
        }

        var growth = Math.Log(seconds[^1] / seconds[0]) / Math.Log(sizes[^1] / (double)sizes[0]);
        Write(string.Create(CultureInfo.InvariantCulture, $"growth 256 to 4,096: n^{growth:0.00}"));
        Assert.True(seconds[2] < 0.1, $"1,024 GPUs took {seconds[2]:0.000} s");
        Assert.True(seconds[4] < 2, $"4,096 GPUs took {seconds[4]:0.000} s");
        Assert.True(growth <= 2.2, $"grows as n^{growth:0.00}");
    }

    /// <summary>Start it alone: what was compiled before makes it faster.</summary>
    [Fact(Explicit = true)]
    public void First_plan_of_a_process_takes_under_two_seconds_for_a_thousand_gpus()
    {
        var request = PlanningScenario.Notice(1024, reshape: true);

        var watch = Stopwatch.StartNew();
        var plan = ReconfigurationPlanner.Plan(request);

        Write(string.Create(CultureInfo.InvariantCulture,
            $"first plan: {watch.Elapsed.TotalMilliseconds:0} ms, {plan.Migration.Steps.Length} steps"));
        Assert.True(watch.Elapsed.TotalSeconds < 2);
    }

    [Theory(Explicit = true)]
    [InlineData(1_000_000)]
    [InlineData(100)]
    public void Assignment_is_no_slower_than_or_tools_on_the_same_dense_matrix(long weightMax)
    {
        const int Size = 1024;
        var (ours, theirs, theirsSolve) = (new List<double>(), new List<double>(), new List<double>());
        var solver = new AssignmentSolver();
        for (var round = 0; round < Rounds; round++)
        {
            var weights = PlanningScenario.RandomMatrix(Size, weightMax, seed: round);
            var watch = Stopwatch.StartNew();
            var value = solver.Maximize(weights, Size, Size, new int[Size]);
            ours.Add(watch.Elapsed.TotalSeconds);

            watch.Restart();
            var orTools = new LinearSumAssignment();
            for (var row = 0; row < Size; row++)
            {
                for (var column = 0; column < Size; column++)
                {
                    orTools.AddArcWithCost(row, column, -weights[(row * Size) + column]);
                }
            }

            var built = watch.Elapsed.TotalSeconds;
            Assert.Equal(LinearSumAssignment.Status.OPTIMAL, orTools.Solve());
            theirs.Add(watch.Elapsed.TotalSeconds);
            theirsSolve.Add(watch.Elapsed.TotalSeconds - built);
            Assert.Equal(-orTools.OptimalCost(), value);
        }

        Write(string.Create(CultureInfo.InvariantCulture,
            $"weights below {weightMax}: ours {Median(ours):0.0} ms; OrTools {Median(theirs):0.0} ms, ")
            + string.Create(CultureInfo.InvariantCulture, $"of which solving {Median(theirsSolve):0.0} ms"));
        Assert.True(Median(ours) <= Median(theirsSolve));
    }

    private static string Parts(PlanningInputs request)
    {
        var watch = Stopwatch.StartNew();
        var geometry = new SliceGeometry(request.Model);
        var search = new LayoutSearch(geometry, request.CostModel(), request.Search!)
            .Run(request.Instances, request.Load);
        var searched = watch.Elapsed.TotalMilliseconds;
        watch.Restart();
        var inherited = CacheInheritance.Plan(
            geometry, request.Caches, request.Holdings, search.Chosen.Degrees);
        var mapping = DeviceMapper.Map(new MappingProblem(
            geometry, search.Chosen.Degrees, search.Chosen.StageLayers(), [], request.Instances,
            request.Holdings, inherited, request.Serving!.Layout));
        var mapped = watch.Elapsed.TotalMilliseconds;
        watch.Restart();
        MigrationPlanner.Plan(new MigrationProblem(
            geometry, mapping.Layout, request.Holdings, inherited, request.Links)
        {
            Caches = request.Caches,
            Leaving = request.Leaving,
        });
        return string.Create(CultureInfo.InvariantCulture,
            $"{searched:0.0} + {mapped:0.0} + {watch.Elapsed.TotalMilliseconds:0.0}");
    }

    private static double Median(List<double> seconds) => 1000 * seconds.Order().ElementAt(seconds.Count / 2);

    private static void Write(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
