using System.Buffers.Binary;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Akka.Actor;
using SpotServe.Actors.DataPlane;
using SpotServe.Actors.Remoting;
using Xunit;

namespace SpotServe.Tests.Remoting;

public sealed class SecureTransportTests
{
    private const string Secret = "the secret of both";
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(3);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Systems_with_the_same_secret_talk_in_both_directions_and_in_order()
    {
        await using var one = RemoteSystem.WithSecret(Secret);
        await using var other = RemoteSystem.WithSecret(Secret);

        Assert.Equal("there", await one.AskAsync(other, "there"));
        Assert.Equal("and back", await other.AskAsync(one, "and back"));
        for (var size = 1; size <= 100_000; size *= 10)
            Assert.Equal(new string('x', size), await one.AskAsync(other, new string('x', size)));
        var many = await Task.WhenAll(Enumerable.Range(0, 2_000).Select(i => one.AskAsync(other, $"{i}")));
        Assert.Equal(Enumerable.Range(0, 2_000).Select(i => $"{i}"), many);
    }

    [Fact]
    public async Task Peer_that_calls_where_a_system_will_run_is_answered_once_it_does()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        var there = new Address("akka.tcp", "spotserve", "127.0.0.1", ((IPEndPoint)listener.LocalEndPoint!).Port);
        await using var early = RemoteSystem.WithSecret(Secret);
        var answer = early.System.ActorSelection(new RootActorPath(there) / "user" / "echo")
            .Ask<string>("are you up?", RemoteSystem.Limit, Cancel);
        // It is connected, and waits.
        while (!listener.Poll(TimeSpan.FromMilliseconds(100), SelectMode.SelectRead))
            Cancel.ThrowIfCancellationRequested();

        await using var late = new RemoteSystem(
            ClusterIdentity.OfSecret(new ClusterSecret(Secret)), listener: listener);

        Assert.Equal(there, late.Address);
        Assert.Equal("are you up?", await answer);
    }

    [Fact]
    public async Task System_with_another_secret_or_none_is_not_heard_and_learns_why_and_nobody_ends()
    {
        await using var one = RemoteSystem.WithSecret(Secret);
        await using var friend = RemoteSystem.WithSecret(Secret);
        await using var stranger = RemoteSystem.WithSecret("another one");
        await using var open = new RemoteSystem(identity: null);
        var refused = Inbox.Create(stranger.System);
        stranger.System.EventStream.Subscribe(refused.Receiver, typeof(PeerRefused));

        await Assert.ThrowsAsync<AskTimeoutException>(() => stranger.AskAsync(one, "let me in", Short));
        await Assert.ThrowsAsync<AskTimeoutException>(() => open.AskAsync(one, "let me in", Short));
        await Assert.ThrowsAsync<AskTimeoutException>(() => one.AskAsync(open, "who are you", Short));

        var why = Assert.IsType<PeerRefused>(refused.Receive(RemoteSystem.Limit));
        Assert.Equal(one.Address, why.Peer);
        Assert.Contains("the cluster's secret", why.Reason, StringComparison.Ordinal);
        Assert.Equal("still here", await friend.AskAsync(one, "still here"));
        Assert.All(
            new[] { one, stranger, open }, system => Assert.False(system.System.WhenTerminated.IsCompleted));
    }

    /// <summary>In TLS 1.3 a client is connected before the server has seen its certificate.</summary>
    [Fact]
    public async Task Client_that_ignores_who_the_server_is_and_shows_a_certificate_of_its_own_reaches_nobody()
    {
        await using var one = RemoteSystem.WithSecret(Secret);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var own = new CertificateRequest("CN=spotserve", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.MaxValue.AddYears(-1));
        foreach (var shown in new[] { own, null })
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, one.Port, Cancel);
            await using var tls = new SslStream(
                client.GetStream(), false, (_, server, _, _) => server is not null);
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = "spotserve",
                    ClientCertificates = shown is null ? null : [shown],
                    EnabledSslProtocols = SslProtocols.Tls13,
                },
                Cancel);

            Assert.False(await IsAnsweredAsync(tls));
        }

        Assert.All(one.Log, line => Assert.Null(line.Cause));
    }

    [Fact]
    public async Task Ten_thousand_random_packets_change_nothing_and_the_log_stays_short()
    {
        const int Packets = 10_000;
        await using var one = RemoteSystem.WithSecret(Secret);
        await using var other = RemoteSystem.WithSecret(Secret);
        Assert.Equal("before", await one.AskAsync(other, "before"));
        var random = new Random(7);
        var packet = new byte[2_000];
        var bytesBefore = GC.GetTotalMemory(forceFullCollection: true);

        var during = Task.Run(async () =>
        {
            for (var i = 0; i < 200; i++) Assert.Equal($"{i}", await one.AskAsync(other, $"{i}"));
        }, Cancel);
        for (var i = 0; i < Packets; i++)
        {
            random.NextBytes(packet);
            BinaryPrimitives.WriteInt32LittleEndian(packet, random.Next(1, packet.Length));
            // A third looks like TLS at first.
            if (i % 3 == 0) new byte[] { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01 }.CopyTo(packet, 0);
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPAddress.Loopback, one.Port, Cancel);
            try
            {
                await socket.SendAsync(packet.AsMemory(0, random.Next(4, packet.Length)), Cancel);
            }
            catch (SocketException)
            {
                // It was refused at the first bytes.
            }
        }

        await during;
        Assert.Equal("after", await other.AskAsync(one, "after"));
        Assert.InRange(one.Log.Count, 1, 60);
        Assert.All(one.Log, line => Assert.Null(line.Cause));
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - bytesBefore, long.MinValue, 20_000_000);
    }

    [Fact]
    public async Task Silent_connections_in_any_number_keep_no_member_out()
    {
        await using var one = RemoteSystem.WithSecret(Secret);
        await using var other = RemoteSystem.WithSecret(Secret);
        var silent = new List<Socket>();
        for (var i = 0; i < 4 * ConnectionGate.HandshakesMax; i++)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            silent.Add(socket);
            await socket.ConnectAsync(IPAddress.Loopback, one.Port, Cancel);
        }

        Assert.Equal("in", await other.AskAsync(one, "in"));

        // The oldest have made room: their sockets are closed.
        Assert.Equal(0, await silent[0].ReceiveAsync(new byte[1], Cancel));
        silent.ForEach(socket => socket.Dispose());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Peer_that_goes_or_hangs_in_the_handshake_costs_a_failed_connection_and_nothing_else(bool goes)
    {
        await using var one = RemoteSystem.WithSecret(Secret);
        await using var other = RemoteSystem.WithSecret(Secret);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var accepted = Task.Run(async () =>
        {
            var socket = await listener.AcceptSocketAsync(Cancel);
            await socket.ReceiveAsync(new byte[16], Cancel);   // the beginning of its hello
            if (goes) socket.Dispose();
            return socket;
        }, Cancel);

        one.System.ActorSelection($"akka.tcp://spotserve@127.0.0.1:{port}/user/echo").Tell("anybody?");
        using var held = await accepted.WaitAsync(RemoteSystem.Limit, Cancel);
        for (var i = 0; i < 20; i++) Assert.Equal($"{i}", await one.AskAsync(other, $"{i}"));

        Assert.False(one.System.WhenTerminated.IsCompleted);
    }

    [Fact]
    public async Task Member_that_sends_a_frame_that_is_none_loses_its_connection_only()
    {
        await using var one = RemoteSystem.WithSecret(Secret);
        await using var other = RemoteSystem.WithSecret(Secret);
        foreach (var length in new[] { -1, int.MinValue, int.MaxValue, 128_001 })
        {
            await using var tls = await MemberAsync(one);
            var header = new byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(header, length);
            await tls.WriteAsync(header, Cancel);

            Assert.Equal(0, await ReadToEndAsync(tls));
        }

        Assert.Equal("still here", await other.AskAsync(one, "still here"));
    }

    [Fact]
    public void Second_system_on_a_port_is_told_that_it_is_taken()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;

        var error = Assert.ThrowsAny<Exception>(() => new RemoteSystem(identity: null, port));

        Assert.Contains($"Cannot listen on 127.0.0.1:{port}", $"{error}", StringComparison.Ordinal);
    }

    private static async Task<SslStream> MemberAsync(RemoteSystem one)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, one.Port, Cancel);
        var identity = Actors.DataPlane.ClusterIdentity.OfSecret(new Actors.DataPlane.ClusterSecret(Secret));
        return (SslStream)await new FrameSecurity(identity).ConnectAsync(socket, Cancel);
    }

    /// <summary>Whether anything comes back for the first frame of Akka's protocol.</summary>
    private static async Task<bool> IsAnsweredAsync(SslStream stream)
    {
        try
        {
            await stream.WriteAsync(new byte[] { 4, 0, 0, 0, 1, 2, 3, 4 }, Cancel);
            return await stream.ReadAsync(new byte[1], Cancel) > 0;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task<int> ReadToEndAsync(SslStream stream)
    {
        try
        {
            return await stream.ReadAsync(new byte[1], Cancel).AsTask().WaitAsync(RemoteSystem.Limit, Cancel);
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
