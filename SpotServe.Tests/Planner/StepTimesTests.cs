using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
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

    /// <summary>Four nodes that ask for half of their machine's processor each.</summary>
    [Fact]
    public void Times_are_learned_beside_as_many_neighbours_as_were_busy()
    {
        var cluster = new FollowedCluster(
            DateTimeOffset.UnixEpoch, new LayoutObjective(Objective.Latency), processorShare: 0.5);
        cluster.Run(TimeSpan.FromMinutes(2), _ => cluster.Capacity(replicas: 1) * 1.5);
        Assert.Equal(2, cluster.Degrees.Replicas);
        // About what the model expects of a sequence, so that no ratio is beyond what is believed.
        var tokens = (long)(cluster.Capacity(replicas: 1) * 64 / 8);
        cluster.HearWork((1, tokens / 2), (1, tokens / 2));
        cluster.HearWork((1, tokens / 2), (1, tokens / 2));

        cluster.HearWork((1, tokens), (0, 0));
        var alone = cluster.HearWork((1, tokens), (0, 0));
        cluster.HearWork((1, 0), (1, 0));   // each one's last report says that the other had nothing to do
        var both = cluster.HearWork((1, tokens / 4), (1, tokens / 4));

        var measured = alone.ByShape.Single(one => one.Demand == ProcessorDemand.LevelMin);
        Assert.True(measured.Step < alone.ByShape.Single(one => one.Demand == 0).Step);
        Assert.Equal(measured, both.ByShape.Single(one => one.Demand == ProcessorDemand.LevelMin));
        Assert.Equal(2, both.ByShape.Length);
    }

    [Fact]
    public void Neighbours_of_devices_with_processors_of_their_own_are_not_told_apart()
    {
        var cluster = new FollowedCluster(DateTimeOffset.UnixEpoch, new LayoutObjective(Objective.Latency));
        cluster.Run(TimeSpan.FromMinutes(2), _ => cluster.Capacity(replicas: 1) * 2.5);
        Assert.True(cluster.Degrees.Replicas > 1);

        cluster.HearWork((1, 50), (1, 50));
        cluster.HearWork((1, 50), (1, 50));
        var learned = cluster.HearWork((1, 50), (0, 0));

        Assert.Equal([0], learned.ByShape.Select(one => one.Demand).Distinct());
    }
}
