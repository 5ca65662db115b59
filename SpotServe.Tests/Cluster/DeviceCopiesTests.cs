using Akka.TestKit;
using SpotServe.Actors.Cluster;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class DeviceCopiesTests : PatientTestKit
{
    private static readonly DevicePagesCopied Answer = new(new Epoch(1), 7, new DeviceId("a", 0), 100);
    private readonly DeviceCopies _copies = new();
    private readonly TestProbe _leader;

    public DeviceCopiesTests() => _leader = CreateTestProbe();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Job_that_comes_twice_is_done_once_and_answered_each_time()
    {
        Assert.True(_copies.IsNew(7, _leader, TestActor));
        Assert.False(_copies.IsNew(7, _leader, TestActor));
        _copies.End(7, Answer, TestActor);
        Assert.False(_copies.IsNew(7, _leader, TestActor));

        for (var i = 0; i < 2; i++)
            Assert.Equal(Answer, _leader.ExpectMsg<DevicePagesCopied>(cancellationToken: Cancel));
    }

    [Fact]
    public void Job_that_comes_again_long_after_is_not_copied_over_what_lies_there_now()
    {
        for (var job = 1; job <= 5000; job++) Assert.True(_copies.IsNew(job, _leader, TestActor));

        Assert.False(_copies.IsNew(1, _leader, TestActor));
        Assert.False(_copies.IsNew(5000, _leader, TestActor));
    }
}
