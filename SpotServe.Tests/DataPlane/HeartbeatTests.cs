using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using SpotServe.Actors.DataPlane;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class HeartbeatTests
{
    private static readonly TimeSpan Patience = PatientTestKit.Patience;

    /// <summary>The longest silence that the options take.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    /// <summary>Losses that were reported, in order.</summary>
    private readonly Channel<(string Node, string Reason)> _lost =
        Channel.CreateUnbounded<(string Node, string Reason)>();

    [Fact]
    public async Task Loss_is_found_when_a_peers_process_ends()
    {
        using var watcher = MakeNode();
        var ending = new FakeHeart();
        using var watch = watcher.WatchPeers(ending.As("ending"), Report);
        await ending.BeatAsync(process: 1);

        ending.Dispose();

        var (node, reason) = await NextLossAsync();
        Assert.Equal("ending", node);
        Assert.Contains("closed", reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Loss_is_found_when_a_peer_falls_silent_with_its_sockets_open()
    {
        using var watcher = MakeNode();
        using var stopping = new FakeHeart();
        using var watch = watcher.WatchPeers(stopping.As("stopping"), Report);

        await stopping.BeatAsync(process: 1);

        var (node, reason) = await NextLossAsync();
        Assert.Equal("stopping", node);
        Assert.Contains("no heartbeat came for", reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Loss_is_found_when_another_process_took_the_peers_place(bool isEncrypted)
    {
        var identity = isEncrypted ? ClusterIdentity.OfSecret(ListenerTests.Options().Secret) : null;
        using var watcher = MakeNode(new HeartbeatOptions { LostAfter = Longest }, identity);
        using var heart = new FakeHeart(identity);
        using var watch = watcher.WatchPeers(heart.As("former"), Report);
        await heart.BeatAsync(process: 1);

        await heart.CloseLinkAsync();
        await heart.BeatAsync(process: 2);

        Assert.Contains("replaced", (await NextLossAsync()).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Link_is_dialled_again_when_it_breaks()
    {
        using var watcher = MakeNode(new HeartbeatOptions { LostAfter = Longest });
        using var heart = new FakeHeart();
        using var watch = watcher.WatchPeers(heart.As("peer"), Report);

        for (var i = 0; i < 5; i++)
        {
            await heart.BeatAsync(process: 1);
            await heart.CloseLinkAsync();
        }

        Assert.False(_lost.Reader.TryRead(out _));
    }

    [Fact]
    public async Task Loss_is_found_when_a_peer_accepts_and_never_beats()
    {
        using var watcher = MakeNode(new HeartbeatOptions { ConnectTimeout = TimeSpan.FromMilliseconds(200) });
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using var watch = watcher.WatchPeers(
            new Dictionary<string, IPEndPoint> { ["silent"] = (IPEndPoint)silent.LocalEndpoint }, Report);

        Assert.Equal("silent", (await NextLossAsync()).Node);
    }

    [Fact]
    public async Task Every_watcher_of_a_peer_hears_of_its_loss_once_and_those_that_ended_do_not()
    {
        using var watcher = MakeNode(new HeartbeatOptions { ConnectTimeout = TimeSpan.FromSeconds(1) });
        using var peer = MakeNode();
        var peers = new Dictionary<string, IPEndPoint> { ["peer"] = peer.Endpoint };
        using var one = watcher.WatchPeers(peers, (node, reason) => Report($"one: {node}", reason));
        using var other = watcher.WatchPeers(peers, (node, reason) => Report($"other: {node}", reason));
        var ended = watcher.WatchPeers(peers, (node, reason) => Report($"ended: {node}", reason));
        ended.Dispose();

        peer.Dispose();

        var losses = new[] { await NextLossAsync(), await NextLossAsync() }.Select(loss => loss.Node).Order();
        Assert.Equal(["one: peer", "other: peer"], losses);
        watcher.Dispose();
        Assert.False(_lost.Reader.TryRead(out _));
    }

    [Fact]
    public void Settings_that_cannot_work_are_refused()
    {
        var options = new HeartbeatOptions
        {
            Interval = TimeSpan.FromMilliseconds(300),
            LostAfter = TimeSpan.FromMilliseconds(500),
        };

        var error = Assert.Throws<ArgumentException>(() => MakeNode(options));

        Assert.Contains("two intervals", error.Message, StringComparison.Ordinal);
    }

    private void Report(string node, string reason) => Assert.True(_lost.Writer.TryWrite((node, reason)));

    private async Task<(string Node, string Reason)> NextLossAsync() => await _lost.Reader
        .ReadAsync(TestContext.Current.CancellationToken).AsTask()
        .WaitAsync(Patience, TestContext.Current.CancellationToken);

    private static DataPlaneNode MakeNode(HeartbeatOptions? options = null, ClusterIdentity? identity = null) => new(
        ListenerTests.Options() with { Heartbeat = options ?? new HeartbeatOptions(), Identity = identity },
        TimeProvider.System);

    /// <summary>A peer that beats only when a test says so.</summary>
    private sealed class FakeHeart : INodeLinkServer, IDisposable
    {
        private readonly DataPlaneListener _listener;
        private readonly Channel<ProvenSocket> _dialled = Channel.CreateUnbounded<ProvenSocket>();
        private ProvenSocket? _link;

        public FakeHeart(ClusterIdentity? identity = null)
        {
            _listener = new(ListenerTests.Options() with { Identity = identity }, TimeProvider.System);
            _listener.Serve(LinkKind.Heartbeat, this);
        }

        public Dictionary<string, IPEndPoint> As(string node) => new() { [node] = _listener.Endpoint };

        public bool HasRoom() => true;

        public void Take(ProvenSocket socket) => Assert.True(_dialled.Writer.TryWrite(socket));

        public async Task BeatAsync(long process)
        {
            (await LinkAsync()).SendAll(BitConverter.GetBytes(process));
        }

        public async Task CloseLinkAsync()
        {
            (await LinkAsync()).Dispose();
            _link = null;
        }

        public void Dispose()
        {
            _listener.Dispose();
            _link?.Dispose();
        }

        private async Task<ProvenSocket> LinkAsync() => _link ??= await _dialled.Reader
            .ReadAsync(TestContext.Current.CancellationToken).AsTask()
            .WaitAsync(Patience, TestContext.Current.CancellationToken);
    }
}
