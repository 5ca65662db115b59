using SpotServe.Actors.Cluster;
using SpotServe.Actors.Planner;
using Xunit;

namespace SpotServe.Tests.Planner;

/// <summary>What a plan's reason says to a person, whatever order its signs come in.</summary>
public sealed class CauseTests
{
    [Fact]
    public void Loss_is_told_once_by_its_first_sign_however_many_notice_it()
    {
        var cause = Cause.Symptom("replica 0 lost one of its devices")
            .And(Cause.Accused("c:1#1", NoticedBy.ClosedConnections))
            .And(Cause.Accused("c:1#1", NoticedBy.Silence))
            .And(Cause.Lost("c:1#1", NoticedBy.Silence))
            .And(Cause.Lost("c:1#1", NoticedBy.Membership));

        Assert.Equal("node c:1#1 was killed: it closed its connections", cause.ToString());
        Assert.Equal([new DepartedNode("c:1#1", NoticedBy.ClosedConnections)], cause.Gone);
    }

    [Fact]
    public void Accused_node_that_answers_is_not_named_when_another_one_is_gone()
    {
        var cause = Cause.Accused("b:1#1", NoticedBy.ClosedConnections)
            .And(Cause.Accused("c:1#1", NoticedBy.ClosedConnections))
            .Acquit("b:1#1")
            .And(Cause.Lost("c:1#1", NoticedBy.Silence));

        Assert.Equal("node c:1#1 was killed: it closed its connections", cause.ToString());
    }

    [Fact]
    public void Accused_node_that_answers_stays_named_when_nothing_else_explains_the_plan()
    {
        var cause = Cause.Accused("b:1#1", NoticedBy.ClosedConnections).Acquit("b:1#1");

        Assert.Equal("node b:1#1 closed connections", cause.ToString());
        Assert.Empty(cause.Gone);
    }

    [Fact]
    public void First_of_two_causes_stays_first()
    {
        Cause joined = "node d:1#1 joined";

        var cause = joined.And(Cause.Lost("a:1#1", NoticedBy.Silence)).And(joined);

        Assert.Equal("node d:1#1 joined; node a:1#1 was lost: it fell silent", cause.ToString());
    }

    [Fact]
    public void Notice_is_not_hidden_by_the_change_of_membership_that_it_makes()
    {
        var early = Cause.Leaves("a:1#1", NoticedBy.Membership, "node a:1#1 leaves the cluster");

        var cause = early.And(Cause.Leaves("a:1#1", NoticedBy.Operator, "node a:1#1 leaves in 30 s"));

        Assert.Equal("node a:1#1 leaves in 30 s", cause.ToString());
        Assert.Equal([new DepartedNode("a:1#1", NoticedBy.Operator)], cause.Gone);
    }

    [Fact]
    public void Many_reasons_leave_the_first_ones_and_every_node_that_is_gone()
    {
        Cause cause = "reason 0";
        for (var i = 1; i < 10; i++) cause = cause.And($"reason {i}");

        cause = cause.And(Cause.Lost("z:1#1", NoticedBy.Silence));

        Assert.Equal("reason 0; reason 1; reason 2; node z:1#1 was lost: it fell silent", cause.ToString());
    }
}
