using SpotServe.Actors.Cluster;
using SpotServe.Seed.Dashboard.Live;
using SpotServe.Seed.Narration;
using Xunit;

namespace SpotServe.Tests.Narration;

/// <summary>What a person on the terminal is told, each thing once.</summary>
public sealed class StoryNarratorTests : IDisposable
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private readonly StringWriter _said = new();
    private readonly StoryNarrator _narrator;

    public StoryNarratorTests() => _narrator = new StoryNarrator(new NodeNames(), _said);

    [Fact]
    public void Node_that_is_killed_is_told_of_with_what_it_cost()
    {
        _narrator.Tell(Snapshot([Node(0, NodeState.Serving), Node(1, NodeState.Serving)]));
        _narrator.Tell(Snapshot([Node(0, NodeState.Serving), Node(1, NodeState.Gone)]));
        var change = Change(2, TimeSpan.FromMilliseconds(600));
        var underWay = change with { Outcome = ReconfigurationRecord.UnderWay };
        _narrator.Tell(Snapshot([Node(0, NodeState.Serving)], underWay));
        _narrator.Tell(Snapshot([Node(0, NodeState.Serving)], change));
        _narrator.Tell(Snapshot([Node(0, NodeState.Serving)], change));

        Assert.Equal(
            [
                "  node 0 joined: cpu",
                "  node 1 joined: cpu",
                "  node 1 is lost without notice; its requests go on elsewhere",
                "  now layout 1,1,1 serves (1 replica of 1 stage of 1 rank): node 1 was lost; requests went on after "
                + "600 ms, no token was lost; 1.00 MiB of weights and 2.00 KiB of KV pages moved",
            ],
            Lines());
    }

    [Fact]
    public void Node_with_notice_leaves_and_is_not_called_lost()
    {
        var leaving = Node(0, NodeState.Leaving) with { Deadline = Now.AddSeconds(29.5) };
        _narrator.Tell(Snapshot([Node(0, NodeState.Serving)]));
        _narrator.Tell(Snapshot([leaving]));
        _narrator.Tell(Snapshot([leaving with { State = NodeState.Gone }]));
        _narrator.Tell(Snapshot([]));

        Assert.Equal(
            [
                "  node 0 joined: cpu",
                "  node 0 has notice: it leaves in 30 s; its work moves meanwhile",
                "  node 0 has left",
            ],
            Lines());
    }

    public void Dispose() => _said.Dispose();

    private string[] Lines() => _said.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);

    private static ClusterSnapshot Snapshot(NodeView[] nodes, params ReconfigurationRecord[] timeline) => new()
    {
        At = Now,
        Model = "m",
        Phase = PlannerPhase.Serving,
        Nodes = [.. nodes],
        Timeline = [.. timeline],
    };

    private static NodeView Node(int number, NodeState state) => new(
        $"h:{number}#1", $"node {number}", number, state, "cpu", "1 GiB", null, null, true, null, null, true);

    private static ReconfigurationRecord Change(long epoch, TimeSpan pause) => new(
        new Epoch(epoch), "node 1 was lost", Now, null, new LayoutDegrees(1, 1, 1, 1), [],
        new WeightSources(0, 1 << 20, 0), 2048, pause, 1, 0, ReconfigurationRecord.Served);
}
