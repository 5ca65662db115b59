using Xunit;

namespace SpotServe.Tests.Simulation;

/// <summary>A simulation that did not try what it was asked to try has not passed.</summary>
public sealed class SeedRangeTests
{
    [Fact]
    public void All_seeds_without_a_broken_law_are_no_failure()
    {
        var report = Range(10, _ => null);

        Assert.Equal((10, 10), (report.Asked, report.Seeds));
        Assert.Null(report.Failure);
    }

    [Fact]
    public void Time_that_is_over_before_all_seeds_ran_is_a_failure_that_says_how_many_did()
    {
        var report = new SeedRange(1, 150, TimeSpan.Zero, run: seed => Outcome(seed, null)).Run(_ => { });

        Assert.Contains("Only 0 of 150 seeds ran", report.Failure, StringComparison.Ordinal);
        Assert.Contains("SPOTSERVE_SIM_SECONDS", report.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void Broken_law_is_a_failure_that_names_the_seed_also_when_the_run_stopped_at_it()
    {
        var all = Range(10, seed => seed == 4 ? "a law" : null);
        var first = new SeedRange(
            1, 10, TimeSpan.MaxValue, brokenMax: 1, seed => Outcome(seed, seed >= 4 ? "a law" : null)).Run(_ => { });

        Assert.Contains("seed 4: a law", all.Failure, StringComparison.Ordinal);
        Assert.Equal(10, all.Seeds);
        Assert.Contains("seed 4: a law", first.Failure, StringComparison.Ordinal);
        Assert.Equal(4, first.Seeds);
    }

    private static SimReport Range(int count, Func<int, string?> law) =>
        new SeedRange(1, count, TimeSpan.MaxValue, run: seed => Outcome(seed, law(seed))).Run(_ => { });

    private static SimOutcome Outcome(int seed, string? broken) =>
        new(seed, broken, Trace: 1, TimeSpan.FromSeconds(1), Requests: 1, Reconfigurations: 1, TimeSpan.Zero);
}
