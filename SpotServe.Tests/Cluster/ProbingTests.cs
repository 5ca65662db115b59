using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using Xunit;
using static SpotServe.Actors.Cluster.ClusterProtocol;

namespace SpotServe.Tests.Cluster;

/// <summary>A node that joins measures how fast weights come to it before the planner lays out anew.</summary>
public sealed class ProbingTests : PlannerTestKit
{
    [Fact]
    public void Node_that_joins_is_asked_what_its_links_give_and_laid_out_once_it_knows()
    {
        var (planner, joined) = JoinServing(new PlannerOptions());

        var question = joined.Commands.FishForMessage<ProbeSources>(_ => true, cancellationToken: Cancel);
        Tick(planner, TimeSpan.FromMilliseconds(500));
        Assert.Equal(PlannerPhase.Serving, View(planner).Phase);
        joined.Rates = new SourceRates(1e9, 2e9);
        Register(planner, joined);
        Tick(planner, TimeSpan.FromMilliseconds(120));

        Assert.Equal("a:1#1", question.Peer.Node);
        Assert.Equal(PlannerPhase.Planning, View(planner).Phase);
    }

    [Fact]
    public void Node_that_does_not_answer_is_asked_again_and_delays_the_layout_no_longer_than_the_limit()
    {
        var options = new PlannerOptions();
        var (planner, joined) = JoinServing(options);
        joined.Commands.FishForMessage<ProbeSources>(_ => true, cancellationToken: Cancel);

        Tick(planner, options.Limits.ProbeMax / 2);
        Register(planner, joined);
        joined.Commands.FishForMessage<ProbeSources>(_ => true, cancellationToken: Cancel);
        Assert.Equal(PlannerPhase.Serving, View(planner).Phase);
        Tick(planner, options.Limits.ProbeMax / 2);
        Tick(planner);

        Assert.Equal(PlannerPhase.Planning, View(planner).Phase);
    }

    [Fact]
    public void First_nodes_are_asked_one_after_the_other_once_a_layout_serves_and_each_once()
    {
        var options = new PlannerOptions();
        var planner = Planner(devices: 2, wanted: null, options);
        var nodes = Join(planner, "a:1#1", "b:1#1");
        Serve(planner, nodes);

        Tick(planner);
        nodes[0].Commands.FishForMessage<ProbeSources>(_ => true, cancellationToken: Cancel);
        Assert.False(nodes[1].Commands.HasMessages);
        nodes[0].Rates = new SourceRates(1e9, 2e9);
        Register(planner, nodes[0]);
        Tick(planner);
        nodes[1].Commands.FishForMessage<ProbeSources>(_ => true, cancellationToken: Cancel);
        Tick(planner, options.Limits.ProbeMax);
        Tick(planner);

        Assert.False(nodes[0].Commands.HasMessages);
        Assert.False(nodes[1].Commands.HasMessages);
        Assert.Equal(PlannerPhase.Serving, View(planner).Phase);
    }

    [Fact]
    public void Nothing_is_measured_where_the_operator_has_stated_the_rates()
    {
        var options = new PlannerOptions { Stated = new SourceRates(1e9, 1e8) };
        var (planner, joined) = JoinServing(options);

        Tick(planner, options.Limits.Coalesce);
        Tick(planner);

        Assert.Equal(PlannerPhase.Planning, View(planner).Phase);
        Assert.False(joined.Commands.HasMessages);
    }

    /// <summary>A second node joins one that serves; nobody answers what it holds from then on, so that the planner
    /// stays where it is seen.</summary>
    private (Akka.Actor.IActorRef Planner, ScriptedNode Joined) JoinServing(PlannerOptions options)
    {
        var planner = Planner(devices: 1, wanted: null, options);
        var nodes = Join(planner, "a:1#1");
        Serve(planner, nodes);
        nodes[0].Answers = false;
        return (planner, Join(planner, "b:1#1")[0]);
    }
}
