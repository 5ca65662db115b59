using System.Collections.Immutable;
using SpotServe.Actors.Cluster;
using SpotServe.Actors.Execution;
using SpotServe.Actors.Planner;
using SpotServe.Actors.Planning;
using Xunit;

namespace SpotServe.Tests.Cluster;

/// <summary>Whether a device fetches weights from its peers or reads them from its own disk.</summary>
public sealed class SourceChoiceTests
{
    private const double Fast = 2e9;
    private const double Slow = 2e7;

    /// <summary>Its layers take much longer than a link's latency.</summary>
    private static readonly ModelSpec Model = FakeModel.Spec(layers: 4, hidden: 1024);

    [Theory]
    [InlineData(Fast, Slow, true)]
    [InlineData(Slow, Fast, false)]
    public void Weights_come_from_where_the_node_measured_them_to_come_faster(double peer, double disk, bool fromPeers)
    {
        var layers = LayersFromPeers(new PlannerOptions(), new SourceRates(peer, disk));

        Assert.Equal(fromPeers ? Model.LayerCount : 0, layers);
    }

    [Fact]
    public void What_the_operator_states_holds_against_what_was_measured()
    {
        var stated = new PlannerOptions { Stated = new SourceRates(null, Slow / 10) };

        Assert.Equal(Model.LayerCount, LayersFromPeers(stated, new SourceRates(Slow, Fast)));
    }

    [Fact]
    public void A_node_that_could_not_measure_its_peers_takes_the_usual_rates()
    {
        var options = new PlannerOptions();
        Assert.True(options.Links.InterNode > options.Links.Disk);

        Assert.NotEqual(0, LayersFromPeers(options, SourceRates.Unknown));
        Assert.Equal(0, LayersFromPeers(options, new SourceRates(null, options.Links.InterNode * 100)));
    }

    /// <summary>One node has all weights, another one has joined: they serve as two replicas. Front and back may come
    /// over the slower way meanwhile.</summary>
    private static int LayersFromPeers(PlannerOptions options, SourceRates rates)
    {
        var geometry = new SliceGeometry(Model);
        var layers = new LayerRange(0, Model.LayerCount);
        ImmutableArray<WeightSlice> all =
            [.. geometry.Need(new PositionNeed(layers, 0, 1, IsFirst: true, IsLast: true))];
        var state = new PlannerState
        {
            Journal = JournalState.Empty,
            Phase = new Gathering(default),
            StatusLine = "",
            Wanted = new LayoutDegrees(2, 1, 1, options.SequencesMax),
            Heard = new HeardHoldings(
                [new HeldDevice(new DeviceId("a", 0), all, []), new HeldDevice(new DeviceId("b", 0), [], [])], []),
        };
        foreach (var node in (NodeInfo[])[Node("a"), Node("b") with { Rates = rates }])
        {
            var known = new KnownNode(node, Model, new Address(node.Node), default);
            state = state with { Nodes = state.Nodes.Add(node.Node, known) };
        }

        var inputs = DecisionInputs.Of(state, options, default)!;
        var decision = LayoutDecision.Of(ReconfigurationPlanner.Plan(inputs), serving: null);
        return decision.Orders.Values.SelectMany(orders => orders)
            .Where(order => order.Slice.Group == TensorGroup.Layers)
            .Sum(order => order.Slice.Layers.Count);
    }

    private static NodeInfo Node(string name) => new(name, "127.0.0.1:1", [new DeviceInfo(0, "cpu", 8L << 30)]);

    private sealed record Address(string Name) : IAddress;
}
