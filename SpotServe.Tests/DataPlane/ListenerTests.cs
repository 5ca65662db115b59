using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Execution;
using Xunit;

namespace SpotServe.Tests.DataPlane;

public sealed class ListenerTests
{
    private const string Secret = "the cluster's secret";
    private static readonly TimeSpan Patience = PatientTestKit.Patience;
    private static readonly LinkCredentials Credentials = new(new ClusterSecret(Secret));
    private static readonly LinkKey Key = LinkPairs.Key;

    [Fact]
    public async Task Link_carries_frames_both_ways_when_it_is_expected_before_the_dial()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        var expecting = listener.ExpectAsync(Key, "the dialler", Deadline().Token);

        using var dialled = await Dial(listener, Key);
        using var accepted = await expecting;

        dialled.Send(FrameKind.Activations, 1, [1, 2]);
        accepted.Send(FrameKind.Activations, 2, [3]);
        accepted.Receive(FrameKind.Activations, 1, new byte[2]);
        dialled.Receive(FrameKind.Activations, 2, new byte[1]);
    }

    [Fact]
    public async Task Link_comes_up_when_it_is_dialled_before_it_is_expected()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var proven = Raw(listener);
        await proven.ProveAsync(Key, Secret);

        using var accepted = await listener.ExpectAsync(Key, "the dialler", Deadline().Token);

        Assert.Equal(HandshakeStatus.Accepted, (await proven.ReplyAsync()).Status);
    }

    [Fact]
    public async Task Dial_waits_for_the_listener_when_it_is_not_there_yet()
    {
        IPEndPoint endpoint;
        using (var past = new DataPlaneListener(Options(), TimeProvider.System)) endpoint = past.Endpoint;

        var dialling = LinkDialler.DialAsync(
            Key, new DialTarget(endpoint, "late"), Credentials, Deadline().Token);
        using var listener = new DataPlaneListener(Options() with { Listen = endpoint }, TimeProvider.System);
        using var accepted = await listener.ExpectAsync(Key, "the dialler", Deadline().Token);

        (await dialling).Dispose();
    }

    [Fact]
    public async Task Dial_gives_up_with_what_it_met_last_when_the_deadline_passes()
    {
        IPEndPoint endpoint;
        using (var past = new DataPlaneListener(Options(), TimeProvider.System)) endpoint = past.Endpoint;
        // Long enough for one dial on a busy machine.
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(2));

        var error = await Assert.ThrowsAsync<PeerLostException>(() =>
            LinkDialler.DialAsync(Key, new DialTarget(endpoint, "nobody"), Credentials, deadline.Token));

        Assert.Contains("refused", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dial_gives_up_when_the_peer_accepts_and_never_answers()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using var deadline = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));

        await Assert.ThrowsAsync<PeerLostException>(() => LinkDialler.DialAsync(
            Key, new DialTarget((IPEndPoint)silent.LocalEndpoint, "silent"), Credentials, deadline.Token)
            .WaitAsync(Patience, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Dial_is_refused_for_good_when_the_secret_differs()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);

        var error = await Assert.ThrowsAsync<PeerLostException>(() => Dial(listener, Key, "another secret"));

        Assert.Contains("the cluster secret differs", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dial_refuses_a_listener_when_that_cannot_prove_the_secret()
    {
        using var impostor = new TcpListener(IPAddress.Loopback, 0);
        impostor.Start();
        var dialling = LinkDialler.DialAsync(
            Key,
            new DialTarget((IPEndPoint)impostor.LocalEndpoint, "the impostor"),
            Credentials,
            Deadline().Token);

        using var client = await impostor.AcceptSocketAsync(Deadline().Token);
        var challenge = new byte[Handshake.HelloBytes];
        Handshake.WriteHello(challenge, RandomNumberGenerator.GetBytes(Handshake.NonceBytes));
        await client.SendAsync(challenge);
        var reply = new byte[Handshake.ReplyHeadBytes];
        reply[0] = (byte)HandshakeStatus.Accepted;
        await client.SendAsync(reply);

        var error = await Assert.ThrowsAsync<PeerLostException>(() => dialling);
        Assert.Contains("does not know the cluster secret", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dial_is_refused_for_good_when_its_epoch_is_over()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        listener.RetireBefore(new Epoch(9));

        var error = await Assert.ThrowsAsync<PeerLostException>(() => Dial(listener, Key));

        Assert.Contains("epoch e3 is over, this node is at e9", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<StaleEpochException>(() => listener.ExpectAsync(Key, "", Deadline().Token));
    }

    [Fact]
    public async Task Waiting_ends_on_both_sides_when_the_epoch_is_over()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var early = Raw(listener);
        await early.ProveAsync(Key, Secret);
        var expecting = listener.ExpectAsync(
            Key with { From = new Position(5, 0, 0) }, "nobody", Deadline().Token);

        listener.RetireBefore(new Epoch(4));

        Assert.Equal(HandshakeStatus.Refused, (await early.ReplyAsync()).Status);
        await Assert.ThrowsAsync<StaleEpochException>(() => expecting);
    }

    [Fact]
    public async Task Dialler_is_told_to_try_again_when_nobody_expects_it_in_time()
    {
        using var listener = new DataPlaneListener(
            Options() with { EarlyTimeout = TimeSpan.FromMilliseconds(50) }, TimeProvider.System);
        using var early = Raw(listener);

        await early.ProveAsync(Key, Secret);

        var (status, reason) = await early.ReplyAsync();
        Assert.Equal(HandshakeStatus.NotNow, status);
        Assert.Contains("nobody here expected", reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Dialler_is_told_to_try_again_when_too_many_wait()
    {
        using var listener = new DataPlaneListener(Options() with { EarlyMax = 1 }, TimeProvider.System);
        using var first = Raw(listener);
        await first.ProveAsync(Key, Secret);
        using var second = Raw(listener);

        await second.ProveAsync(Key with { Epoch = new Epoch(4) }, Secret);

        Assert.Equal(HandshakeStatus.NotNow, (await second.ReplyAsync()).Status);
    }

    [Fact]
    public async Task Key_from_the_network_is_refused_when_it_names_no_link()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var peer = Raw(listener);

        await peer.ProveAsync(Key with { Kind = (LinkKind)99 }, Secret);

        Assert.Equal(HandshakeStatus.Refused, (await peer.ReplyAsync()).Status);
    }

    [Fact]
    public async Task Recorded_proof_is_refused_when_it_is_played_again()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var honest = Raw(listener);
        await honest.ProveAsync(Key, Secret);
        using var replayer = Raw(listener);

        await replayer.SendHelloAsync(honest.Hello);
        await replayer.SendAsync(honest.Proof);

        Assert.Equal(HandshakeStatus.Refused, (await replayer.ReplyAsync()).Status);
    }

    [Fact]
    public async Task Garbage_is_closed_and_honest_links_come_up_beside_it()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var garbage = Raw(listener);
        await garbage.SendAsync(Encoding.ASCII.GetBytes("GET /metrics HTTP/1.1\r\nHost: node.example\r\n\r\n"));

        Assert.True(await garbage.IsClosedAsync());
        var (dialled, accepted) = Connect(listener, Key);
        dialled.Dispose();
        accepted.Dispose();
    }

    [Fact]
    public async Task Silent_peer_is_closed_when_the_handshake_takes_too_long()
    {
        using var listener = new DataPlaneListener(
            Options() with { HandshakeTimeout = TimeSpan.FromMilliseconds(50) }, TimeProvider.System);
        using var slow = Raw(listener);

        await slow.SendAsync(new byte[] { (byte)'S' });

        Assert.True(await slow.IsClosedAsync());
    }

    [Fact]
    public async Task Honest_link_comes_up_when_silent_peers_hold_every_slot()
    {
        using var listener = new DataPlaneListener(Options() with { HandshakesMax = 4 }, TimeProvider.System);
        var silent = Enumerable.Range(0, 20).Select(_ => Raw(listener)).ToList();

        var (dialled, accepted) = Connect(listener, Key);

        dialled.Dispose();
        accepted.Dispose();
        Assert.True(await silent[0].IsClosedAsync());
        silent.ForEach(peer => peer.Dispose());
    }

    [Fact]
    public async Task Proven_peer_is_closed_when_it_sends_before_it_is_accepted()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var pushy = Raw(listener);
        await pushy.ProveAsync(Key, Secret);

        await pushy.SendAsync(new byte[100]);

        Assert.True(await pushy.IsClosedAsync());
    }

    [Fact]
    public async Task Expectation_ends_when_the_deadline_passes_or_the_listener_is_disposed()
    {
        using var listener = new DataPlaneListener(Options(), TimeProvider.System);
        using var deadline = new CancellationTokenSource();
        var byDeadline = listener.ExpectAsync(Key, "never", deadline.Token);
        var byDisposal = listener.ExpectAsync(Key with { Epoch = new Epoch(4) }, "never", Deadline().Token);

        await deadline.CancelAsync();
        await Assert.ThrowsAsync<PeerLostException>(() => byDeadline);
        listener.Dispose();
        await Assert.ThrowsAsync<PeerLostException>(() => byDisposal);
    }

    internal static DataPlaneOptions Options() => new()
    {
        Secret = new ClusterSecret(Secret),
        Listen = new IPEndPoint(IPAddress.Loopback, 0),
        // A busy machine may take seconds for a handshake.
        HandshakeTimeout = TimeSpan.FromMinutes(1),
    };

    internal static (SocketLink Dialled, SocketLink Accepted) Connect(DataPlaneListener listener, LinkKey key)
    {
        var expecting = listener.ExpectAsync(key, "the dialler", Deadline().Token);
        var dialling = Dial(listener, key);
        Assert.True(Task.WaitAll([expecting, dialling], Patience), "waited for a link");
        return (dialling.Result, expecting.Result);
    }

    private static Task<SocketLink> Dial(DataPlaneListener listener, LinkKey key, string secret = Secret) =>
        LinkDialler.DialAsync(
            key,
            new DialTarget(listener.Endpoint, "the listener"),
            new LinkCredentials(new ClusterSecret(secret)),
            Deadline().Token);

    internal static CancellationTokenSource Deadline()
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        source.CancelAfter(Patience);
        return source;
    }

    private static RawPeer Raw(DataPlaneListener listener) => new(listener.Endpoint);
}
