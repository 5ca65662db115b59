using Akka.Actor;
using Akka.Remote;
using SpotServe.Actors;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Hosting;
using SpotServe.Node.Hosting;
using Xunit;

namespace SpotServe.Tests.Fleet;

public sealed class RejoinOutcomeTests
{
    public static TheoryData<Exception> WhatAStartMayMeet =>
    [
        new UsageException("nobody there"),
        new AskTimeoutException("the cluster's daemon did not start within 20 s"),
        new RemoteTransportException("Startup timed out", new TimeoutException()),
        new AggregateException(new TimeoutException("a"), new TimeoutException("b")),
        new OperationCanceledException("of something within"),
    ];

    [Theory]
    [MemberData(nameof(WhatAStartMayMeet))]
    public async Task Whatever_a_try_meets_is_why_the_next_one_follows(Exception met)
    {
        var outcome = await RejoinOutcome.OfAsync<string>(
            () => Task.FromException<string>(met), TestContext.Current.CancellationToken);

        Assert.Null(outcome.Membership);
        Assert.Contains(met.Message, outcome.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bug_and_order_to_stop_are_no_reasons_to_try_again()
    {
        await Assert.ThrowsAsync<InvariantException>(() => RejoinOutcome.OfAsync<string>(
            () => throw new InvariantException("a bug"), TestContext.Current.CancellationToken));
        await Assert.ThrowsAsync<OperationCanceledException>(() => RejoinOutcome.OfAsync<string>(
            () => throw new OperationCanceledException(), new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task Membership_is_what_a_try_is_for()
    {
        var outcome = await RejoinOutcome.OfAsync(
            () => Task.FromResult("a member"), TestContext.Current.CancellationToken);

        Assert.Equal("a member", outcome.Membership);
    }

    [Fact]
    public void Node_that_was_told_to_go_does_not_come_back_whoever_ended_its_membership_first()
    {
        var lost = new MembershipEnd.Lost("the cluster removed this node");
        var unfit = new MembershipEnd.Unfit("no device is left");
        var notice = new PreemptionNotice(DateTimeOffset.UnixEpoch, "admin");

        Assert.Same(lost, lost.Under(null));
        Assert.Same(unfit, unfit.Under(notice));
        var left = Assert.IsType<MembershipEnd.Left>(lost.Under(notice));
        Assert.Equal("it was told to go, and the cluster removed this node", left.Reason);
    }
}
