using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using Xunit;

namespace SpotServe.Tests.Planner.Core;

/// <summary>What the core makes of losses and notices, to the millisecond.</summary>
public sealed class PlannerCoreTests
{
    /// <summary>Links and control connection are closed: only the end of a process does that. No time passes between
    /// the signs and the decision.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Killed_process_is_not_waited_for(int killed)
    {
        var run = Serving(nodes: 3);
        var (before, at) = (run.State.Journal.Epoch, run.Now);
        var node = run.World.Nodes[killed];

        run.World.End(node);
        run.World.Mail.RemoveAll(message => message is MemberLost);   // the membership takes seconds
        run.DeliverAll();

        Assert.Equal(at, run.Now);
        Assert.Equal(before.Next, run.State.Journal.Epoch);
        Assert.False(run.State.Journal.Decided!.Layout.Uses(node.Name));
        Assert.Equal(at, run.State.Journal.Decided.At);
    }

    /// <summary>A node that no other one has links to is known by its connection and its port.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Process_without_links_is_not_waited_for_when_its_port_is_refused_whichever_sign_is_first(bool refused)
    {
        var run = Serving(nodes: 3);
        var (before, at) = (run.State.Journal.Epoch, run.Now);
        var node = run.World.Nodes[1];
        object[] signs = [new MemberSuspected(CoreWorld.HostOf(node)), new MemberRefuses(CoreWorld.HostOf(node))];

        run.World.End(node);
        run.World.Mail.Clear();   // nobody else saw anything
        foreach (var sign in refused ? signs.Reverse() : signs) run.Hear(sign);
        run.DeliverAll();

        Assert.Equal(before.Next, run.State.Journal.Epoch);
        Assert.Equal(at, run.State.Journal.Decided!.At);
    }

    /// <summary>One sign alone may be the end of a link: the node has a moment to answer, and no more.</summary>
    [Fact]
    public void Node_with_one_sign_against_it_is_waited_for_as_long_as_an_accused_one_may_take()
    {
        var run = Serving(nodes: 3);
        var (before, at) = (run.State.Journal.Epoch, run.Now);

        run.World.End(run.World.Nodes[1]);
        run.World.Mail.RemoveAll(message => message is MemberLost or MemberSuspected);
        run.DeliverAll();
        Assert.IsType<Asking>(run.State.Phase);
        run.Pass(TimeSpan.FromMilliseconds(300), nodesReport: true, mailArrives: true);

        Assert.Equal(before.Next, run.State.Journal.Epoch);
        Assert.Equal(at + new PlannerLimits().AccusedAnswerMax, run.State.Journal.Decided!.At);
    }

    [Fact]
    public void Of_two_notices_the_sooner_deadline_counts()
    {
        var run = Serving(nodes: 3);
        var node = run.World.Nodes[1].Name;

        Notice(30, "aws");
        Notice(12, "signal");
        Notice(20, "admin");

        Assert.Equal(new Departure(run.Now.AddSeconds(12), IsTold: true), run.State.Leaving[node]);

        void Notice(int seconds, string source) =>
            run.Hear(new ClusterProtocol.NodeNotice(node, run.Now.AddSeconds(seconds), source));
    }

    /// <summary>The membership changes before the notice is heard, or after it.</summary>
    [Theory]
    [InlineData(true, 5)]
    [InlineData(true, 90)]
    [InlineData(false, 5)]
    [InlineData(false, 90)]
    public void Early_hint_does_not_hide_the_real_notice(bool isHintFirst, int seconds)
    {
        var run = Serving(nodes: 3);
        var node = run.World.Nodes[1];
        var hint = new MemberLeaving(CoreWorld.HostOf(node));
        var notice = new ClusterProtocol.NodeNotice(node.Name, run.Now.AddSeconds(seconds), "aws");

        run.Hear(isHintFirst ? hint : notice);
        run.Hear(isHintFirst ? notice : hint);

        Assert.Equal(new Departure(notice.Deadline, IsTold: true), run.State.Leaving[node.Name]);
    }

    /// <summary>Each of thousands of devices would else be told of all the others, and told again twice a
    /// second.</summary>
    [Fact]
    public void Device_is_told_where_its_own_sources_are_and_of_no_others()
    {
        var run = Serving(nodes: 3);
        run.Muted = typeof(ClusterProtocol.DevicePrepared);
        run.World.Join(devices: 1, memoryBytes: 64L << 20);

        run.Pass(TimeSpan.FromSeconds(3), nodesReport: true, mailArrives: true);

        var commands = Assert.IsType<Preparing>(run.State.Phase).Commands;
        Assert.Equal(4, commands.Length);
        Assert.Contains(commands, command => !command.Endpoints.IsEmpty);
        Assert.All(commands, command => Assert.Equal(
            command.Order.Weights.Select(piece => piece.From.Node).Distinct().Order(StringComparer.Ordinal),
            command.Endpoints.Keys.Order(StringComparer.Ordinal)));
    }

    /// <summary>Two processes of one machine differ in the port alone, and 5000 begins like 50001.</summary>
    [Fact]
    public void Node_of_an_address_is_lost_and_none_whose_name_begins_alike()
    {
        var run = Serving(nodes: 3);
        var node = run.World.Nodes[0].Name;

        run.Hear(new MemberLost(CoreWorld.HostOf(run.World.Nodes[0])[..^1], "was downed"));
        Assert.Equal(3, run.State.Nodes.Count);
        run.Hear(new MemberLost(CoreWorld.HostOf(run.World.Nodes[0]), "was downed"));

        Assert.Equal(2, run.State.Nodes.Count);
        Assert.DoesNotContain(node, run.State.Nodes.Keys);
    }

    /// <summary>Nodes report to a new planner one after another, and others may come first.</summary>
    [Fact]
    public void Planner_that_starts_anew_keeps_what_serves_though_enough_other_nodes_report_first()
    {
        var run = Serving(nodes: 3);
        var (before, late) = (run.State.Active!.Epoch, run.World.Nodes[2]);
        for (var i = 0; i < 3; i++) run.World.Join(devices: 1, memoryBytes: 64L << 20);

        run.Recover();
        foreach (var report in run.World.Living.Where(node => node != late).SelectMany(node => node.Reports()).ToList())
            run.Hear(report);
        run.Pass(TimeSpan.FromMilliseconds(400), nodesReport: false, mailArrives: true);
        Assert.IsType<Gathering>(run.State.Phase);
        foreach (var report in late.Reports()) run.Hear(report);
        run.Pass(TimeSpan.FromMilliseconds(100), nodesReport: false, mailArrives: true);

        Assert.Contains($"still serves with {{Count}} replicas <- {before} | 1", run.Story);
    }

    [Fact]
    public void Planner_that_starts_anew_does_not_wait_long_for_a_node_that_served_and_is_gone()
    {
        var run = Serving(nodes: 3);
        run.World.Join(devices: 1, memoryBytes: 64L << 20);
        run.World.End(run.World.Nodes[2]);
        run.World.Mail.Clear();

        run.Recover();
        var at = run.Now;
        run.Pass(TimeSpan.FromSeconds(3), nodesReport: true, mailArrives: true);

        Assert.True(run.State.Active is { IsServing: true }, run.Story);
        var most = new PlannerLimits().SuspectAfter + TimeSpan.FromSeconds(0.1);
        Assert.InRange(run.State.Journal.Decided!.At - at, TimeSpan.Zero, most);
    }

    [Fact]
    public void Rehearsed_notice_and_losses_lead_to_a_layout_that_serves_without_the_node()
    {
        var run = Serving(nodes: 3);
        var before = run.State.Journal.Epoch;
        var last = run.State.Active!.Layout.Placement[^1].Node;

        var ends = Rehearsal.Run(new PlannerCore(Options(nodes: 3)), run.State, run.Now);

        Assert.Equal(3, ends.Length);
        Assert.All(ends, end =>
        {
            Assert.IsType<Serving>(end.Phase);
            Assert.Equal(before.Next, end.Active!.Epoch);
            Assert.False(end.Active.Layout.Uses(last));
        });
    }

    private static PlannerOptions Options(int nodes) => new()
    {
        DevicesExpected = nodes,
        SequencesMax = 8,
        StepTokensMax = 64,
        WorkingBytes = 1 << 10,
        Stated = new SourceRates(1e9, 1e9),
    };

    private static CoreRun Serving(int nodes)
    {
        var run = new CoreRun(Options(nodes));
        for (var i = 0; i < nodes; i++) run.World.Join(devices: 1, memoryBytes: 64L << 20);
        run.Pass(TimeSpan.FromSeconds(2), nodesReport: true, mailArrives: true);
        Assert.IsType<Serving>(run.State.Phase);
        return run;
    }
}
