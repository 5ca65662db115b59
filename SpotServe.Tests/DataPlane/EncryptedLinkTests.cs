using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

/// <summary>The data plane with --data-tls: the same links, of which nobody reads or writes anything who is not of the
/// cluster.</summary>
public sealed class EncryptedLinkTests
{
    private const string Secret = "the cluster's secret";
    private static readonly LinkKey Key = LinkPairs.Key;
    private static readonly TimeSpan Patience = Waits.Max;
    private static readonly ClusterSecret Known = new(Secret);
    private static readonly ClusterIdentity Ours = ClusterIdentity.OfSecret(Known);
    private static readonly ClusterIdentity Others = ClusterIdentity.OfSecret(new ClusterSecret("of another cluster"));

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(16_360)]
    [InlineData(300_000)]
    public async Task Frames_of_any_length_arrive_both_ways_at_once(int bytes)
    {
        using var listener = new DataPlaneListener(Options(Ours), TimeProvider.System);
        var (dialled, accepted) = await ConnectAsync(listener, listener.Endpoint);
        using var _ = dialled;
        using var __ = accepted;
        var payload = MemoryBlock.Random(bytes, seed: bytes);

        await Task.WhenAll(Send(dialled), Send(accepted), Receive(dialled), Receive(accepted))
            .WaitAsync(Patience, Cancel);

        Task Send(SocketLink link) => OnThread(() =>
        {
            for (var step = 1; step <= 3; step++) link.Send(FrameKind.Activations, step, payload);
        });

        Task Receive(SocketLink link) => OnThread(() =>
        {
            for (var step = 1; step <= 3; step++)
            {
                var received = new byte[bytes];
                link.Receive(FrameKind.Activations, step, received);
                Assert.Equal(payload, received);
            }
        });
    }

    /// <summary>Where nothing is due, a socket that can be read from counts as closed.</summary>
    [Fact]
    public async Task Nothing_of_the_handshake_is_left_to_read_once_a_link_stands()
    {
        using var listener = new DataPlaneListener(Options(Ours), TimeProvider.System);
        var (dialled, accepted) = await ConnectAsync(listener, listener.Endpoint);
        using var _ = dialled;
        using var __ = accepted;

        Assert.False(dialled.Socket.Poll(TimeSpan.Zero, SelectMode.SelectRead));
        Assert.False(accepted.Socket.Poll(TimeSpan.Zero, SelectMode.SelectRead));
    }

    [Fact]
    public async Task Replica_draws_the_models_own_tokens_over_encrypted_links()
    {
        int[] prompt = [1, 2, 3, 250, 7];
        var sampling = new SamplingParameters(0.5f, 1, 0, 12345);
        await using var replica = await FakeReplica.StartAsync(
            2, 2, Spread.NodePerDevice, identity: ClusterIdentity.OfSecret(new ClusterSecret("a test's secret")));

        var generated = replica.Generate([[.. prompt]], 12, sampling);

        Assert.Equal(new FakeModel(FakeReplica.Model).Generate(prompt, 12, sampling), generated[0].AsEnumerable());
    }

    [Fact]
    public async Task Fetch_brings_every_byte_and_keeps_its_connection()
    {
        using var pair = new TransferPair(new TransferOptions { ChunkBytes = 4096 }, Ours);
        var held = MemoryBlock.Random(1_000_001, seed: 1);
        pair.Source.SliceSource = _ => new MemoryBlock(held, 777);
        using var tap = new WireTap(pair.Source.Endpoint);

        Assert.Equal(held, await pair.FetchAsync(held.Length, 1000, tap.Endpoint));
        Assert.Equal(held, await pair.FetchAsync(held.Length, int.MaxValue, tap.Endpoint));

        Assert.Equal(1, tap.Connections);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Wire_shows_pages_and_activations_where_links_are_not_encrypted_and_else_nothing(bool isEncrypted)
    {
        var identity = isEncrypted ? Ours : null;
        var text = Encoding.UTF8.GetBytes("what only the client and the model should know");
        using var pair = new TransferPair(identity: identity);
        pair.Source.SliceSource = _ => new MemoryBlock([.. text]);
        using var transfers = new WireTap(pair.Source.Endpoint);
        using var listener = new DataPlaneListener(Options(identity), TimeProvider.System);
        using var activations = new WireTap(listener.Endpoint);

        var fetched = await pair.FetchAsync(text.Length, int.MaxValue, transfers.Endpoint);
        var (dialled, accepted) = await ConnectAsync(listener, activations.Endpoint, identity);
        using var _ = dialled;
        using var __ = accepted;
        dialled.Send(FrameKind.Activations, 1, text);
        var received = new byte[text.Length];
        accepted.Receive(FrameKind.Activations, 1, received);

        Assert.Equal(text, fetched);
        Assert.Equal(text, received);
        Assert.Equal(!isEncrypted, transfers.Seen.AsSpan().IndexOf(text) >= 0);
        Assert.Equal(!isEncrypted, activations.Seen.AsSpan().IndexOf(text) >= 0);
    }

    [Fact]
    public async Task Peer_sends_beats_and_the_watcher_does_not_lose_it()
    {
        const long MoreThanAnyHandshake = 4096;
        var beats = new HeartbeatOptions
        {
            Interval = TimeSpan.FromMilliseconds(1),
            ConnectTimeout = TimeSpan.FromMinutes(1),
            LostAfter = TimeSpan.FromMinutes(1),
        };
        using var watcher = new DataPlaneNode(Options(Ours) with { Heartbeat = beats }, TimeProvider.System);
        using var peer = new DataPlaneNode(Options(Ours) with { Heartbeat = beats }, TimeProvider.System);
        using var tap = new WireTap(peer.Endpoint);
        var lost = Channel.CreateUnbounded<string>();
        using var watch = watcher.WatchPeers(
            new Dictionary<string, IPEndPoint> { ["peer"] = tap.Endpoint },
            (_, reason) => lost.Writer.TryWrite(reason));

        await tap.UntilBackAsync(MoreThanAnyHandshake).WaitAsync(Patience, Cancel);

        Assert.False(lost.Reader.TryRead(out _));
        Assert.Equal(1, tap.Connections);
    }

    [Fact]
    public async Task What_arrives_in_single_bytes_is_taken_whole_and_without_waiting()
    {
        var beat = MemoryBlock.Random(8, seed: 8);
        using var listener = new DataPlaneListener(Options(Ours), TimeProvider.System);
        using var tap = new WireTap(listener.Endpoint);
        var expecting = listener.ExpectAsync(Key, "the dialler", ListenerTests.Deadline().Token);
        using var dialled = await OnThread(() => LinkDialler.Dial(
            Key, Target(tap.Endpoint), new LinkCredentials(Known, Ours), ListenerTests.Deadline().Token));
        using var accepted = await expecting;

        tap.GoByteByByte();
        accepted.Send(FrameKind.Activations, 1, beat);
        var into = new byte[512];
        var calls = 0;
        int? count = 0;
        while (count == 0)
        {
            tap.LetOneByteThrough();
            Assert.True(dialled.Socket.Poll(Patience, SelectMode.SelectRead));
            count = dialled.ReceiveArrived(into);
            calls++;
        }

        Assert.Equal(beat, into.AsSpan(0, count!.Value)[FrameHeader.Bytes..].ToArray());
        Assert.True(calls > count, $"a record has a head and a seal, and {calls} bytes were let through");
    }

    [Fact]
    public async Task Dialler_refuses_a_listener_with_the_secret_and_another_identity()
    {
        using var listener = new DataPlaneListener(Options(Others), TimeProvider.System);
        var expecting = listener.ExpectAsync(Key, "the dialler", ListenerTests.Deadline().Token);

        var refusal = await Assert.ThrowsAsync<PeerLostException>(() => DialAsync(listener.Endpoint, Ours));

        Assert.Contains("does not prove", refusal.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<PeerLostException>(() => expecting.WaitAsync(Patience, Cancel));
    }

    [Theory]
    [InlineData("another identity")]
    [InlineData("plain bytes")]
    [InlineData("silence")]
    [InlineData("the end")]
    public async Task Listener_refuses_who_has_the_secret_and_does_not_agree_on_TLS_in_time(string instead)
    {
        var options = Options(Ours);
        if (instead == "silence") options = options with { HandshakeTimeout = TimeSpan.FromSeconds(3) };
        using var listener = new DataPlaneListener(options, TimeProvider.System);
        using var peer = new RawPeer(listener.Endpoint, isEncrypted: true);
        var expecting = listener.ExpectAsync(Key, "the dialler", ListenerTests.Deadline().Token);
        await peer.ProveAsync(Key, Secret);
        Assert.Equal(HandshakeStatus.Accepted, (await peer.ReplyAsync()).Status);

        if (instead == "plain bytes") await peer.SendAsync(new byte[100]);
        if (instead == "the end") peer.Dispose();
        if (instead == "another identity") await ShowAsync(peer, Others);

        await Assert.ThrowsAsync<PeerLostException>(() => expecting.WaitAsync(Patience, Cancel));
        var (dialled, accepted) = await ConnectAsync(listener, listener.Endpoint);
        dialled.Dispose();
        accepted.Dispose();
    }

    [Fact]
    public async Task Links_between_nodes_that_never_agree_on_TLS_are_bounded_and_end_with_the_node()
    {
        using var node = new DataPlaneNode(Options(Ours) with { HandshakesMax = 2 }, TimeProvider.System);
        var transfer = LinkKey.OfNodes(LinkKind.Transfer);
        var silent = new[] { new RawPeer(node.Endpoint, true), new RawPeer(node.Endpoint, true) };
        foreach (var peer in silent)
        {
            await peer.ProveAsync(transfer, Secret);
            Assert.Equal(HandshakeStatus.Accepted, (await peer.ReplyAsync()).Status);
        }

        using var third = new RawPeer(node.Endpoint, isEncrypted: true);
        await third.ProveAsync(transfer, Secret);

        var (status, reason) = await third.ReplyAsync();
        Assert.Equal(HandshakeStatus.NotNow, status);
        Assert.Contains("TLS", reason, StringComparison.Ordinal);
        node.Dispose();
        foreach (var peer in silent) Assert.True(await peer.IsClosedAsync());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Node_that_encrypts_and_one_that_does_not_refuse_each_other_and_name_the_option(bool listens)
    {
        using var listener = new DataPlaneListener(Options(listens ? Ours : null), TimeProvider.System);

        var refusal = await Assert.ThrowsAsync<PeerLostException>(
            () => DialAsync(listener.Endpoint, listens ? null : Ours));

        Assert.Contains("--data-tls", refusal.Message, StringComparison.Ordinal);
        // One that does not look at what the listener says hears it from that.
        using var peer = new RawPeer(listener.Endpoint, isEncrypted: !listens);
        await peer.ProveAsync(Key, Secret);
        var (status, reason) = await peer.ReplyAsync();
        Assert.Equal(HandshakeStatus.Refused, status);
        Assert.Contains("--data-tls", reason, StringComparison.Ordinal);
    }

    private static DataPlaneOptions Options(ClusterIdentity? identity) =>
        ListenerTests.Options() with { Identity = identity };

    private static DialTarget Target(IPEndPoint endpoint) => new(endpoint, "the listener");

    private static Task<SocketLink> DialAsync(IPEndPoint endpoint, ClusterIdentity? identity) => LinkDialler.DialAsync(
        Key, Target(endpoint), new LinkCredentials(Known, identity), ListenerTests.Deadline().Token);

    private static Task<(SocketLink Dialled, SocketLink Accepted)> ConnectAsync(
        DataPlaneListener listener, IPEndPoint endpoint) => ConnectAsync(listener, endpoint, Ours);

    private static async Task<(SocketLink Dialled, SocketLink Accepted)> ConnectAsync(
        DataPlaneListener listener, IPEndPoint endpoint, ClusterIdentity? identity)
    {
        var expecting = listener.ExpectAsync(Key, "the dialler", ListenerTests.Deadline().Token);
        var dialled = await DialAsync(endpoint, identity);
        return (dialled, await expecting);
    }

    /// <summary>TLS of one who takes any listener and shows an identity of his own.</summary>
    private static async Task ShowAsync(RawPeer peer, ClusterIdentity identity)
    {
        var options = identity.ForDialler(() => { });
        options.RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null;
        var stream = new SslStream(new NetworkStream(peer.Socket));
        try
        {
            await stream.AuthenticateAsClientAsync(options, ListenerTests.Deadline().Token);
        }
        catch (IOException)
        {
            // Refused at once; as a rule that shows only at the first read.
        }
    }

    private static Task OnThread(Action action) => Task.Factory.StartNew(
        action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static Task<T> OnThread<T>(Func<T> function) => Task.Factory.StartNew(
        function, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
