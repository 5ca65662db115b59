using Akka.Actor;
using Akka.TestKit;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Gateway;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Gateway;

/// <summary>A gateway keeps its view by what changed, and asks for a whole one when it missed something.</summary>
public sealed class ViewChangeTests : PatientTestKit
{
    private readonly ManualClock _clock = new();
    private readonly ClusterBoard _board = new();
    private readonly TestProbe _planner;
    private readonly IActorRef _gateway;

    public ViewChangeTests()
        : base("""akka.scheduler.implementation = "Akka.TestKit.TestScheduler, Akka.TestKit" """)
    {
        _planner = CreateTestProbe();
        var requests = CreateTestProbe().Ref;
        _gateway = Sys.ActorOf(Props.Create(() => new GatewayActor(
            new GatewayOptions(), _clock, _board, _planner, () => requests)));
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Changes_are_applied_in_their_order_and_doubled_ones_once()
    {
        _gateway.Tell(Whole(term: 1, number: 4));
        _gateway.Tell(Change(1, 4, 5, "loading"));
        _gateway.Tell(Change(1, 5, 6, "serving"));
        _gateway.Tell(Change(1, 4, 5, "loading"));

        AwaitCondition(() => _board.View is { Number: 6 }, cancellationToken: Cancel);
        Assert.Equal("serving", _board.View!.StatusLine);
        Assert.Equal(new ViewVersion(1, 6), NextKnown());
    }

    [Fact]
    public void Gap_is_no_view_and_has_a_whole_one_asked_for_once()
    {
        _gateway.Tell(Whole(term: 1, number: 4));
        AwaitCondition(() => _board.View is { Number: 4 }, cancellationToken: Cancel);
        NextKnown();

        _clock.Advance(TimeSpan.FromSeconds(1));
        _gateway.Tell(Change(1, 5, 6, "serving"));
        _gateway.Tell(Change(1, 6, 7, "serving"));

        Assert.Null(_planner.FishForMessage<RegisterGateway>(_ => true, cancellationToken: Cancel).Known);
        _gateway.Tell(Whole(term: 1, number: 7));
        AwaitCondition(() => _board.View is { Number: 7 }, cancellationToken: Cancel);
        Assert.Equal(new ViewVersion(1, 7), NextKnown());
    }

    [Fact]
    public void Changes_of_a_new_planner_are_not_applied_to_the_view_of_the_old_one()
    {
        _gateway.Tell(Whole(term: 1, number: 4));
        AwaitCondition(() => _board.View is { Number: 4 }, cancellationToken: Cancel);
        NextKnown();

        _gateway.Tell(Change(2, 4, 5, "of another planner"));

        Assert.Null(_planner.FishForMessage<RegisterGateway>(_ => true, cancellationToken: Cancel).Known);
        Assert.Equal("whole", _board.View!.StatusLine);
        _gateway.Tell(Whole(term: 2, number: 1));
        _gateway.Tell(Change(1, 4, 5, "of the old planner"));
        AwaitCondition(() => _board.View is { Term: 2 }, cancellationToken: Cancel);
        Assert.Equal(new ViewVersion(2, 1), NextKnown());
        Assert.Equal("whole", _board.View.StatusLine);
    }

    [Fact]
    public void Older_whole_view_of_the_same_planner_changes_nothing()
    {
        _gateway.Tell(Whole(term: 1, number: 4));
        _gateway.Tell(Change(1, 4, 5, "serving"));
        _gateway.Tell(Whole(term: 1, number: 4));

        AwaitCondition(() => _board.View is { Number: 5 }, cancellationToken: Cancel);
        Assert.Equal(new ViewVersion(1, 5), NextKnown());
        Assert.Equal("serving", _board.View!.StatusLine);
    }

    /// <summary>What the gateway says that it has, in the next of its registrations.</summary>
    private ViewVersion? NextKnown()
    {
        while (_planner.HasMessages) _planner.ReceiveOne(TimeSpan.Zero, Cancel);
        _clock.Advance(TimeSpan.FromSeconds(1));
        ((TestScheduler)Sys.Scheduler).Advance(TimeSpan.FromSeconds(1));
        return _planner.FishForMessage<RegisterGateway>(_ => true, cancellationToken: Cancel).Known;
    }

    private static PlannerView Whole(long term, long number) => new(
        new Epoch(1), PlannerPhase.Serving, "whole", null, null, Epoch.None, [], [], [])
    {
        Term = term,
        Number = number,
    };

    private static ViewChange Change(long term, long from, long to, string detail) =>
        new(term, from, to, new Epoch(1), PlannerPhase.Serving, detail, Epoch.None);
}
