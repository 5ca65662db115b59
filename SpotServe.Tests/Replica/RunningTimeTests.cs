using SpotServe.Actors.Replica;
using Xunit;

namespace SpotServe.Tests.Replica;

/// <summary>What a token took is counted while requests run, and not while a replica is idle.</summary>
public sealed class RunningTimeTests
{
    [Fact]
    public void Running_time_counts_each_request_while_it_runs_and_nothing_between()
    {
        var time = new RunningTime();
        time.Advance(TimeSpan.FromSeconds(10), running: 2);
        time.Advance(TimeSpan.FromSeconds(13), running: 1);
        time.Advance(TimeSpan.FromSeconds(14), running: 0);
        time.Advance(TimeSpan.FromSeconds(60), running: 1);
        time.Advance(TimeSpan.FromSeconds(61), running: 1);

        Assert.Equal(TimeSpan.FromSeconds((3 * 2) + 1 + 1), time.Sequences);
        Assert.Equal(TimeSpan.FromSeconds(5), time.Busy);
    }
}
