using SpotServe.Actors.Cluster;
using Xunit;

namespace SpotServe.Tests.Cluster;

public sealed class DeviceCopiesTests
{
    [Fact]
    public async Task Job_that_comes_twice_is_copied_once_and_answered_twice()
    {
        var copies = new DeviceCopies();
        var done = 0;

        var first = copies.Run(7, Copy);
        var second = copies.Run(7, Copy);

        Assert.Equal(100, await first!);
        Assert.Equal(100, await second!);
        Assert.Equal(1, done);

        Task<long> Copy()
        {
            done++;
            return Task.FromResult(100L);
        }
    }

    [Fact]
    public void Job_that_comes_again_long_after_is_not_copied_over_what_lies_there_now()
    {
        var copies = new DeviceCopies();
        for (var job = 1; job <= 5000; job++) Assert.NotNull(copies.Run(job, () => Task.FromResult(1L)));

        Assert.Null(copies.Run(1, () => Task.FromResult(1L)));
        Assert.NotNull(copies.Run(5000, () => throw new InvalidOperationException("It is known.")));
    }
}
