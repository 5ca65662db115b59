using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Replica;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

public sealed class PageCopyActorTests : PatientTestKit
{
    private const string Virtual = """akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """;
    private static readonly Epoch Epoch = new(4);
    private static readonly DeviceId First = new("a:1#1", 0);
    private static readonly DeviceId Second = new("b:1#1", 2);
    private readonly TestProbe _replica;
    private readonly TestProbe _nodeOfFirst;
    private readonly TestProbe _nodeOfSecond;

    public PageCopyActorTests()
        : base(Virtual)
    {
        _replica = CreateTestProbe("replica");
        _nodeOfFirst = CreateTestProbe("a");
        _nodeOfSecond = CreateTestProbe("b");
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Copy_is_over_when_each_device_has_answered_and_the_replica_hears_it_once()
    {
        var copy = Begin();
        var order = Asked(_nodeOfFirst, First);
        Asked(_nodeOfSecond, Second);

        copy.Tell(new DevicePagesCopied(Epoch, order.Job, First, 100));
        copy.Tell(new DevicePagesCopied(Epoch, order.Job, First, 100));
        copy.Tell(new DevicePagesCopied(Epoch, order.Job, Second, 30));

        Assert.Equal(
            new HandoverProtocol.PagesCopied(Epoch, 7, 130),
            _replica.ExpectMsg<HandoverProtocol.PagesCopied>(cancellationToken: Cancel));
        ExpectTerminated(copy, cancellationToken: Cancel);
    }

    [Fact]
    public void Device_that_does_not_answer_is_asked_again_and_one_that_did_is_not()
    {
        var copy = Begin();
        Asked(_nodeOfFirst, First);
        Asked(_nodeOfSecond, Second);
        copy.Tell(new DevicePagesCopied(Epoch, 7, First, 100));

        for (var i = 0; i < 2; i++)
        {
            ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromMilliseconds(500));
            Asked(_nodeOfSecond, Second);
        }

        copy.Tell(new DevicePagesCopied(Epoch, 7, Second, 30));
        ExpectTerminated(copy, cancellationToken: Cancel);
        Assert.False(_nodeOfFirst.HasMessages);
    }

    [Fact]
    public void Copy_that_one_device_cannot_make_is_lost_with_its_reason_when_no_other_device_writes_any_more()
    {
        var copy = Begin();
        Asked(_nodeOfFirst, First);
        Asked(_nodeOfSecond, Second);

        copy.Tell(new DevicePagesLost(Epoch, 7, Second, "its source is gone"));
        Cancelled(_nodeOfFirst, First);
        // It may have been lost.
        ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromMilliseconds(500));
        Cancelled(_nodeOfFirst, First);
        Assert.False(_replica.HasMessages);
        Assert.False(_nodeOfSecond.HasMessages);
        copy.Tell(new DevicePagesCopied(Epoch, 7, First, 100));   // It was just over.

        Assert.Equal(
            new HandoverProtocol.PagesLost(Epoch, 7, "its source is gone"),
            _replica.ExpectMsg<HandoverProtocol.PagesLost>(cancellationToken: Cancel));
        ExpectTerminated(copy, cancellationToken: Cancel);
    }

    [Fact]
    public void Copy_that_nobody_waits_for_any_more_is_cancelled_at_every_device()
    {
        var copy = Begin();
        Asked(_nodeOfFirst, First);
        Asked(_nodeOfSecond, Second);

        copy.Tell(new HandoverProtocol.CancelCopies(Epoch));
        Cancelled(_nodeOfFirst, First);
        Cancelled(_nodeOfSecond, Second);
        copy.Tell(new DevicePagesLost(Epoch, 7, First, "cancelled"));
        Assert.False(_replica.HasMessages);
        copy.Tell(new DevicePagesLost(Epoch, 7, Second, "cancelled"));

        Assert.Equal(7, _replica.ExpectMsg<HandoverProtocol.PagesLost>(cancellationToken: Cancel).Job);
        ExpectTerminated(copy, cancellationToken: Cancel);
    }

    private static void Cancelled(TestProbe node, DeviceId device) => Assert.Equal(
        new CancelDevicePages(Epoch, device, 7), node.ExpectMsg<CancelDevicePages>(cancellationToken: Cancel));

    private static CopyDevicePages Asked(TestProbe node, DeviceId device)
    {
        var order = node.ExpectMsg<CopyDevicePages>(cancellationToken: Cancel);
        Assert.Equal((Epoch, device, 7L, 1), (order.Epoch, order.Device, order.Job, order.OldReplica));
        Assert.Equal([3, 4], order.From);
        Assert.Equal([5, 6], order.To);
        Assert.True(order.Urgent);
        return order;
    }

    private IActorRef Begin() => Watch(Sys.ActorOf(PageCopyActor.Props(
        new HandoverProtocol.CopyPages(Epoch, 7, 1, [3, 4], [5, 6], Urgent: true),
        [new PageCopyActor.Part(First, _nodeOfFirst), new PageCopyActor.Part(Second, _nodeOfSecond)],
        _replica)));
}
