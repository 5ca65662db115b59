using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>The layout follows the load, and a load that wavers moves nothing.</summary>
public sealed class FollowingTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Load_that_a_replica_of_another_epoch_reports_is_not_that_of_the_one_that_serves()
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency));

        Assert.Equal(3, cluster.HearLoad(running: 3, epochsAway: 0));
        Assert.Equal(3, cluster.HearLoad(running: 5, epochsAway: -1));
        Assert.Equal(3, cluster.HearLoad(running: 7, epochsAway: 1));
    }

    [Fact]
    public void More_replicas_serve_while_the_load_is_more_than_one_can_carry_and_fewer_after_it()
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency));
        var one = cluster.Capacity(replicas: 1);
        cluster.Run(TimeSpan.FromMinutes(2), _ => one * 0.05);
        var calm = cluster.Degrees;

        cluster.Run(TimeSpan.FromMinutes(2), _ => one * 2.5);
        var busy = cluster.Degrees;
        cluster.Run(TimeSpan.FromMinutes(4), _ => one * 0.05);
        Assert.Equal(busy, cluster.Degrees);
        cluster.Run(TimeSpan.FromMinutes(2), _ => one * 0.05);

        Assert.True(busy.Replicas > calm.Replicas, $"{calm}, then {busy}");
        Assert.Equal(calm, cluster.Degrees);
        Assert.Equal(2, cluster.Changes);
    }

    /// <summary>Another layout is as much better either way; what it saves in five minutes is less than what open
    /// requests lose while its weights come in over a slow link.</summary>
    [Theory]
    [InlineData(1e9, true)]
    [InlineData(1, false)]
    public void Layout_is_changed_where_what_it_saves_is_more_than_its_weights_cost(double bytesPerSecond, bool changes)
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency), bytesPerSecond);
        var calm = cluster.Degrees;
        cluster.HearLoad(running: 8, epochsAway: 0);
        var load = cluster.Capacity(replicas: 1) * 0.6;

        cluster.Run(TimeSpan.FromMinutes(2), _ => load);

        Assert.Equal(changes, cluster.Degrees != calm);
    }

    /// <summary>Half a minute of load, then two of calm, again and again: what carries the bursts stays.</summary>
    [Fact]
    public void Bursts_that_come_again_find_the_layout_that_carried_the_last_one()
    {
        var cluster = new FollowedCluster(Start, new LayoutObjective(Objective.Latency));
        var one = cluster.Capacity(replicas: 1);

        cluster.Run(
            TimeSpan.FromMinutes(20),
            now => one * ((now - Start).TotalSeconds % 150 < 30 ? 2.5 : 0.05));

        Assert.Equal(1, cluster.Changes);
        Assert.True(cluster.Degrees.Replicas > 1, $"{cluster.Degrees}");
    }

    /// <summary>Whatever the mean and however it wavers about it: after the first settling, hardly a change, and never
    /// back and forth.</summary>
    [Theory]
    [InlineData(Objective.Latency)]
    [InlineData(Objective.Throughput)]
    [InlineData(Objective.Slo)]
    public void Noisy_load_about_any_mean_never_has_the_layout_oscillate(Objective objective)
    {
        for (var seed = 1; seed <= 12; seed++)
        {
            var random = new Random(seed);
            var cluster = new FollowedCluster(Start, new LayoutObjective(objective));
            var mean = cluster.Capacity(replicas: 1) * (0.1 + (3.5 * random.NextDouble()));
            var noise = 0.05 + (0.25 * random.NextDouble());

            cluster.Run(TimeSpan.FromMinutes(10), _ => mean * (1 + (noise * ((2 * random.NextDouble()) - 1))));

            Assert.True(cluster.Changes <= 2, $"seed {seed}: {cluster.Changes} changes about {mean:0.0}/s");
        }
    }
}
