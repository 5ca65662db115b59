using CsCheck;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planning;

public sealed class ArrangementTests
{
    private static readonly StepClock Clock = new(0.05, 0.1);

    [Fact]
    public void Steps_before_and_after_an_instant_equal_counting_one_by_one() =>
        Gen.Select(Gen.Double[0, 1], Gen.Double[0.01, 1], Gen.Double[-1, 30], Gen.Int[0, 200])
            .Sample((first, step, seconds, most) =>
            {
                var clock = new StepClock(first, step);

                Assert.Equal(
                    Enumerable.Range(0, most + 1).Where(s => s == 0 || clock.After(s) < seconds).Max(),
                    clock.MostBefore(seconds, most));
                var reached = Enumerable.Range(0, most + 1).Where(s => clock.After(s) >= seconds).ToList();
                Assert.Equal(reached.Count > 0 ? reached[0] : most, clock.FewestAtLeast(seconds, most));
            });

    [Fact]
    public void A_notice_is_decoded_up_to_as_long_as_the_migration_still_fits()
    {
        var cut = Stop(notice: 30, join: null, migration: 3);

        Assert.Equal(270, cut.Steps);
        Assert.True(cut.At.TotalSeconds < 27);
        Assert.False(cut.IncludesJoin);
    }

    [Fact]
    public void A_join_is_decoded_up_to_until_it_is_ready()
    {
        var cut = Stop(notice: null, join: 120, migration: 3);

        Assert.Equal(Clock.FewestAtLeast(120, int.MaxValue), cut.Steps);
        Assert.True(cut.At.TotalSeconds >= 120);
        Assert.True(cut.IncludesJoin);
    }

    [Fact]
    public void A_join_that_is_ready_before_the_notice_ends_is_one_change_with_it()
    {
        var cut = Stop(notice: 30, join: 20, migration: 3);

        Assert.True(cut.IncludesJoin);
        Assert.InRange(cut.At.TotalSeconds, 20, 20.2);
    }

    [Fact]
    public void A_join_that_is_ready_too_late_does_not_hold_the_notice_up()
    {
        var cut = Stop(notice: 30, join: 28, migration: 3);

        Assert.False(cut.IncludesJoin);
        Assert.InRange(cut.At.TotalSeconds, 26.8, 27);
        Assert.Contains("follows on its own", cut.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Requests_are_rerouted_when_migrating_takes_no_less_than_serving_on()
    {
        Assert.IsType<CutOver.Reroute>(Decide(MigrationMode.StopThenMigrate, notice: 5, join: null, 0, 3));
        Assert.IsType<CutOver.Reroute>(Decide(MigrationMode.StopThenMigrate, notice: 2, join: null, 0, 3));
    }

    [Fact]
    public void Copying_while_serving_cuts_over_as_soon_as_the_copies_are_in()
    {
        var cut = Serve(notice: 30, join: null, preCopy: 8, pause: 0.1);

        Assert.InRange(cut.At.TotalSeconds, 8, 8.1);
        Assert.Equal(0.1, cut.Pause.TotalSeconds, 6);
    }

    [Fact]
    public void Copying_while_serving_takes_a_join_in_when_its_copies_fit_before_the_notice_ends()
    {
        var both = Serve(notice: 30, join: 15, preCopy: 8, pause: 0.1);
        var apart = Serve(notice: 30, join: 25, preCopy: 8, pause: 0.1);

        Assert.True(both.IncludesJoin);
        Assert.InRange(both.At.TotalSeconds, 23, 23.2);
        Assert.False(apart.IncludesJoin);
        Assert.InRange(apart.At.TotalSeconds, 8, 8.2);
    }

    [Fact]
    public void Copying_while_serving_cuts_over_before_the_notice_ends_when_the_copies_take_longer()
    {
        var cut = Serve(notice: 10, join: null, preCopy: 40, pause: 0.5);

        Assert.InRange(cut.At.TotalSeconds, 9.3, 9.5);
        Assert.True(cut.Pause.TotalSeconds > 30);
        Assert.IsType<CutOver.Reroute>(Decide(MigrationMode.CopyWhileServing, notice: 0.4, join: null, 40, 0.5));
    }

    [Fact]
    public void Unusable_times_are_named_errors()
    {
        Assert.Throws<PlanningInputException>(
            () => Decide(MigrationMode.StopThenMigrate, notice: -1, join: null, 0, 3));
        Assert.Throws<PlanningInputException>(() => Arrangement.Decide(
            new ArrangementInput(new StepClock(0, double.NaN), null, null),
            MigrationMode.StopThenMigrate, TimeSpan.Zero, TimeSpan.Zero));
    }

    private static CutOver.AfterSteps Stop(double? notice, double? join, double migration) =>
        Assert.IsType<CutOver.AfterSteps>(Decide(MigrationMode.StopThenMigrate, notice, join, 0, migration));

    private static CutOver.AfterSteps Serve(double? notice, double? join, double preCopy, double pause) =>
        Assert.IsType<CutOver.AfterSteps>(Decide(MigrationMode.CopyWhileServing, notice, join, preCopy, pause));

    private static CutOver Decide(MigrationMode mode, double? notice, double? join, double preCopy, double pause) =>
        Arrangement.Decide(
            new ArrangementInput(Clock, Time(notice), Time(join)),
            mode,
            TimeSpan.FromSeconds(preCopy),
            TimeSpan.FromSeconds(pause));

    private static TimeSpan? Time(double? seconds) => seconds is { } s ? TimeSpan.FromSeconds(s) : null;
}
