using SpotServe.Actors.Planner;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>Which times between two reports of a replica teach what its steps take.</summary>
public sealed class StepTimesTests
{
    [Theory]
    [InlineData(1, 0, 1)]
    [InlineData(1, 0, 0)]
    [InlineData(4, 3, 6)]
    [InlineData(16, 16, 16)]
    [InlineData(16, 12, 20)]
    public void Time_in_which_about_as_many_requests_ran_all_along_is_that_of_so_many(int mean, int first, int last) =>
        Assert.True(StepTimes.IsSteady(mean, first, last));

    [Theory]
    [InlineData(8, 0, 16)]
    [InlineData(8, 16, 0)]
    [InlineData(32, 64, 32)]
    [InlineData(3, 0, 3)]
    public void Time_in_which_many_came_or_ended_is_that_of_no_number(int mean, int first, int last) =>
        Assert.False(StepTimes.IsSteady(mean, first, last));

    [Fact]
    public void First_second_of_a_replicas_work_teaches_nothing()
    {
        Assert.True(StepTimes.IsCold(TimeSpan.Zero));
        Assert.True(StepTimes.IsCold(TimeSpan.FromSeconds(0.9)));
        Assert.False(StepTimes.IsCold(TimeSpan.FromSeconds(1)));
    }
}
