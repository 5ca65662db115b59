using Akka.TestKit;
using SpotServe.Actors.Cluster;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class DeviceCopiesTests : PatientTestKit
{
    private static readonly DevicePagesCopied Answer = new(new Epoch(1), 7, new DeviceId("a", 0), 100);
    private static readonly DevicePagesLost Lost = new(new Epoch(1), 7, new DeviceId("a", 0), "nobody wants them");
    private readonly DeviceCopies _copies = new();
    private readonly TestProbe _leader;

    public DeviceCopiesTests() => _leader = CreateTestProbe();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Job_that_comes_twice_is_done_once_and_answered_each_time()
    {
        Assert.True(Begins(7));
        Assert.False(Begins(7));
        _copies.End(7, Answer, TestActor);
        Assert.False(Begins(7));

        for (var i = 0; i < 2; i++)
            Assert.Equal(Answer, _leader.ExpectMsg<DevicePagesCopied>(cancellationToken: Cancel));
    }

    [Fact]
    public void Job_that_comes_again_long_after_is_not_copied_over_what_lies_there_now()
    {
        for (var job = 1; job <= 5000; job++)
        {
            Assert.True(Begins(job));
            _copies.End(job, Lost with { Job = job }, TestActor);
        }

        Assert.False(Begins(1));
        Assert.False(Begins(5000));
    }

    /// <summary>The question for the lower one was lost, and came after that for the higher one.</summary>
    [Fact]
    public void Jobs_that_come_out_of_order_are_forgotten_and_answered_as_others_are()
    {
        foreach (var job in (IEnumerable<int>)[2, 1, .. Enumerable.Range(3, 4095)])
        {
            Assert.True(Begins(job));
            _copies.End(job, Lost with { Job = job }, TestActor);
            _leader.ExpectMsg<DevicePagesLost>(cancellationToken: Cancel);
        }

        Assert.False(Begins(1));   // 2 is forgotten, and this one is not yet
        Assert.Equal(1, _leader.ExpectMsg<DevicePagesLost>(cancellationToken: Cancel).Job);
        Assert.True(Begins(4098));   // with which it is

        Assert.False(Begins(2));
    }

    [Fact]
    public void Job_that_still_runs_is_answered_and_cancelled_however_many_came_after_it()
    {
        Assert.True(_copies.TryBegin(7, _leader, TestActor, Cancel, out var work));
        for (var job = 8; job <= 5000; job++)
        {
            Assert.True(_copies.TryBegin(job, TestActor, TestActor, Cancel, out var _));
            _copies.End(job, Lost with { Job = job }, TestActor);
        }

        _copies.Cancel(7, Lost, _leader, TestActor);
        Assert.True(work.IsCancellationRequested);
        _copies.End(7, Answer, TestActor);

        Assert.Equal(Answer, _leader.ExpectMsg<DevicePagesCopied>(cancellationToken: Cancel));
    }

    [Fact]
    public void Job_that_is_cancelled_is_answered_when_it_has_ended_and_not_before()
    {
        Assert.True(_copies.TryBegin(7, _leader, TestActor, Cancel, out var work));

        _copies.Cancel(7, Lost, _leader, TestActor);
        Assert.True(work.IsCancellationRequested);
        Assert.False(_leader.HasMessages);

        _copies.End(7, Lost, TestActor);
        Assert.Equal(Lost, _leader.ExpectMsg<DevicePagesLost>(cancellationToken: Cancel));
    }

    [Fact]
    public void Job_whose_cancellation_came_before_it_is_never_begun()
    {
        _copies.Cancel(7, Lost, _leader, TestActor);
        Assert.Equal(Lost, _leader.ExpectMsg<DevicePagesLost>(cancellationToken: Cancel));

        Assert.False(Begins(7));
        Assert.Equal(Lost, _leader.ExpectMsg<DevicePagesLost>(cancellationToken: Cancel));
    }

    [Fact]
    public void Job_that_ended_before_its_cancellation_came_is_answered_with_its_end()
    {
        Assert.True(Begins(7));
        _copies.End(7, Answer, TestActor);
        _copies.Cancel(7, Lost, _leader, TestActor);

        for (var i = 0; i < 2; i++)
            Assert.Equal(Answer, _leader.ExpectMsg<DevicePagesCopied>(cancellationToken: Cancel));
    }

    private bool Begins(long job) => _copies.TryBegin(job, _leader, TestActor, Cancel, out _);
}
