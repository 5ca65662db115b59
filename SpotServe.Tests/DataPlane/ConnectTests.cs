using System.Net;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class ConnectTests
{
    private static readonly Epoch Epoch = new(4);
    private static readonly Position First = new(0, 0, 0);

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 3)]
    public void Every_link_has_exactly_two_ends_whatever_the_layout(int stages, int ranks)
    {
        foreach (var spread in Enum.GetValues<Spread>())
        {
            var layout = FakeReplica.LayoutOf(stages, ranks, spread);
            var ends = layout.Positions.SelectMany(self => StageTopology.Of(layout, Epoch, self).Ends).ToList();

            Assert.All(ends.GroupBy(end => end.Key), link =>
            {
                Assert.Equal([false, true], link.Select(end => end.IsFrom).Order());
                var means = link.Select(end => end.Means).Order().ToList();
                Assert.True(
                    means is [LinkMeans.InProcess, LinkMeans.InProcess] or [LinkMeans.Dial, LinkMeans.Accept],
                    $"{link.Key}: {string.Join(" and ", means)}");
            });
            var planCount = ends.Count(end => end is { IsFrom: true, Key.Kind: LinkKind.Plans });
            Assert.Equal(layout.Degrees.DeviceCount, planCount);
        }
    }

    [Fact]
    public void Ranks_use_memory_only_when_all_of_the_stage_share_a_process()
    {
        var layout = FakeReplica.LayoutOf(1, 4, Spread.TwoPerNode);

        var topology = StageTopology.Of(layout, Epoch, First);

        Assert.False(topology.RanksShareMemory);
        Assert.Equal([LinkMeans.Dial, LinkMeans.Dial, LinkMeans.Dial], topology.Ranks.Select(end => end.Means));
    }

    [Fact]
    public async Task Connect_names_the_missing_peer_when_the_time_is_over()
    {
        var layout = FakeReplica.LayoutOf(1, 2, Spread.NodePerDevice);
        using var node = FakeReplica.MakeNode();
        using var absent = FakeReplica.MakeNode();

        var error = await Assert.ThrowsAsync<PeerLostException>(() => node.ConnectAsync(
            layout,
            Epoch,
            First,
            Endpoints(layout, node, absent),
            TimeSpan.FromMilliseconds(100),
            TestContext.Current.CancellationToken));

        Assert.StartsWith("(0,0,1) on node1/1", error.Peer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connect_fails_at_once_when_a_peer_has_another_secret()
    {
        var layout = FakeReplica.LayoutOf(1, 2, Spread.NodePerDevice);
        using var node = FakeReplica.MakeNode();
        using var stranger = FakeReplica.MakeNode("another secret");

        var error = await Assert.ThrowsAsync<PeerLostException>(() => node.ConnectAsync(
            layout,
            Epoch,
            First,
            Endpoints(layout, node, stranger),
            FakeReplica.Patience,
            TestContext.Current.CancellationToken));

        Assert.Contains("the cluster secret differs", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connect_is_cancelled_when_the_caller_cancels()
    {
        var layout = FakeReplica.LayoutOf(2, 1, Spread.NodePerDevice);
        using var node = FakeReplica.MakeNode();
        using var absent = FakeReplica.MakeNode();
        using var cancel = new CancellationTokenSource();

        var connecting = node.ConnectAsync(
            layout, Epoch, First, Endpoints(layout, node, absent), FakeReplica.Patience, cancel.Token);
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting);
    }

    [Fact]
    public async Task Connect_names_the_device_when_its_endpoint_is_not_given()
    {
        var layout = FakeReplica.LayoutOf(1, 2, Spread.NodePerDevice);
        using var node = FakeReplica.MakeNode();

        var error = await Assert.ThrowsAsync<ArgumentException>(() => node.ConnectAsync(
            layout,
            Epoch,
            First,
            new Dictionary<DeviceId, IPEndPoint>(),
            FakeReplica.Patience,
            TestContext.Current.CancellationToken));

        Assert.Contains("node1/1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connect_refuses_an_epoch_that_is_over()
    {
        var layout = FakeReplica.LayoutOf(1, 1, Spread.OneNode);
        using var node = FakeReplica.MakeNode();
        node.RetireBefore(Epoch.Next);

        await Assert.ThrowsAsync<StaleEpochException>(() => node.ConnectAsync(
            layout,
            Epoch,
            First,
            new Dictionary<DeviceId, IPEndPoint>(),
            FakeReplica.Patience,
            TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Next_epoch_connects_beside_the_one_that_still_serves()
    {
        var layout = FakeReplica.LayoutOf(2, 2, Spread.TwoPerNode);
        using var one = FakeReplica.MakeNode();
        using var other = FakeReplica.MakeNode();
        var open = new List<StageLinks>();

        for (var epoch = Epoch; epoch < new Epoch(7); epoch = epoch.Next)
        {
            var nodes = new Dictionary<string, DataPlaneNode> { ["node0"] = one, ["node1"] = other };
            var connecting = layout.Positions.Select(self => nodes[layout.DeviceAt(self).Node].ConnectAsync(
                layout,
                epoch,
                self,
                Endpoints(layout, one, other),
                FakeReplica.Patience,
                TestContext.Current.CancellationToken));
            open.AddRange(await Task.WhenAll(connecting));
        }

        Assert.Equal(12, open.Count);
        open.ForEach(links => links.Dispose());
    }

    private static Dictionary<DeviceId, IPEndPoint> Endpoints(Layout layout, DataPlaneNode one, DataPlaneNode other) =>
        layout.Placement.ToDictionary(
            device => device, device => device.Node == "node0" ? one.Endpoint : other.Endpoint);
}
