using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>Who is dialled.</summary>
/// <param name="Peer">What to call it in errors.</param>
/// <param name="Node">Name of its node, where that is known.</param>
internal sealed record DialTarget(IPEndPoint Endpoint, string Peer, string? Node = null)
{
    public PeerLostException Lost(string reason, bool isSilent = false) =>
        new(Peer, reason) { Node = Node, IsSilent = isSilent };
}

/// <summary>What one try led to: a socket, or why not.</summary>
internal readonly record struct DialOutcome(ProvenSocket? Socket, bool IsBusy, string Reason);

/// <summary>
/// Opens links to other nodes: connects, proves the secret, and keeps trying while the other side is not ready.
/// Connects by blocking calls on a thread of its own, so that the socket stays a blocking one.
/// </summary>
internal static class LinkDialler
{
    private static readonly TimeSpan BackOffMin = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan BackOffMax = TimeSpan.FromMilliseconds(500);

    /// <summary>Tries until the link stands, is refused for good, or the deadline is cancelled.</summary>
    /// <exception cref="PeerLostException">Refused, or no success by the deadline; says what it met last.</exception>
    public static Task<SocketLink> DialAsync(
        LinkKey key, DialTarget target, LinkCredentials credentials, CancellationToken deadline) =>
        Task.Factory.StartNew(
            () => new SocketLink(Dial(key, target, credentials, deadline), key, target.Peer, target.Node),
            CancellationToken.None,
            TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach,
            TaskScheduler.Default);

    /// <summary>As <see cref="DialAsync"/>, on the caller's thread and without frames around the socket.</summary>
    /// <exception cref="PeerLostException">Refused, or no success by the deadline; says what it met last.</exception>
    public static ProvenSocket Dial(
        LinkKey key, DialTarget target, LinkCredentials credentials, CancellationToken deadline)
    {
        var backOff = BackOffMin;
        var lastReason = "nothing was tried";
        while (!deadline.IsCancellationRequested)
        {
            var outcome = TryOnce(key, target, credentials, deadline);
            if (outcome.Socket is { } socket) return socket;
            if (!deadline.IsCancellationRequested) lastReason = outcome.Reason;
            deadline.WaitHandle.WaitOne(backOff);
            backOff = backOff * 2 < BackOffMax ? backOff * 2 : BackOffMax;
        }

        throw target.Lost($"{key} did not come up in time; the last try met: {lastReason}", isSilent: true);
    }

    /// <summary>Tries once, on the caller's thread.</summary>
    /// <exception cref="PeerLostException">Refused for good.</exception>
    public static DialOutcome TryOnce(
        LinkKey key, DialTarget target, LinkCredentials credentials, CancellationToken deadline)
    {
        var socket = new Socket(target.Endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        // Closing the socket is what ends a blocking call of it at the deadline.
        using var closing = deadline.Register(socket.Dispose);
        try
        {
            socket.Connect(target.Endpoint);
            socket.NoDelay = true;
            if (key.Kind == LinkKind.Collective && TcpCollective.PrepareSocket(socket) is { } problem)
            {
                throw target.Lost(problem);
            }

            var (status, reason) = Negotiate(socket, key, credentials);
            var proven = status == HandshakeStatus.Accepted ? Secure(socket, credentials) : null;
            // Past this point the deadline must not close it; if it just did, the link is dead and use shows it.
            closing.Dispose();
            if (proven is not null) return new DialOutcome(proven, false, "");
            if (status == HandshakeStatus.Refused) throw target.Lost($"it refused {key}: {reason}");
            socket.Dispose();
            return new DialOutcome(null, IsBusy: true, reason);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            socket.Dispose();
            return new DialOutcome(null, IsBusy: false, error.Message);
        }
        catch (AuthenticationException error)
        {
            socket.Dispose();
            throw target.Lost($"{key} cannot be encrypted: {error.Message}");
        }
        catch (PeerLostException)
        {
            socket.Dispose();
            throw;
        }
    }

    private static ProvenSocket Secure(Socket socket, LinkCredentials credentials) =>
        credentials.Identity is { } identity
            ? ProvenSocket.Encrypt(socket, identity, isDialler: true)
            : new ProvenSocket(socket);

    private static (HandshakeStatus Status, string Reason) Negotiate(
        Socket socket, LinkKey key, LinkCredentials credentials)
    {
        var secret = credentials.Secret;
        Span<byte> hello = stackalloc byte[Handshake.HelloBytes];
        Span<byte> challenge = stackalloc byte[Handshake.HelloBytes];
        Span<byte> proof = stackalloc byte[Handshake.ProofBytes];
        Span<byte> reply = stackalloc byte[Handshake.ReplyHeadBytes + Handshake.ReasonBytesMax];

        Handshake.WriteHello(
            hello, RandomNumberGenerator.GetBytes(Handshake.NonceBytes), credentials.IsEncrypted);
        SendAll(socket, hello);
        ReceiveAll(socket, challenge);
        var version = Handshake.ReadHello(challenge);
        if (version is null) return (HandshakeStatus.Refused, "it does not speak the data plane's protocol");
        if (version != Handshake.Version)
        {
            return (HandshakeStatus.Refused, $"it speaks version {version}, this node {Handshake.Version}");
        }

        if (credentials.Mismatch(challenge) is { } mismatch) return (HandshakeStatus.Refused, mismatch);
        Handshake.WriteProof(proof, key, secret, hello, challenge);
        SendAll(socket, proof);
        ReceiveAll(socket, reply[..Handshake.ReplyHeadBytes]);
        var reason = reply.Slice(Handshake.ReplyHeadBytes, reply[1]);
        ReceiveAll(socket, reason);
        var status = (HandshakeStatus)reply[0];
        if (status == HandshakeStatus.Accepted && !Handshake.IsListenerProven(reply, secret, hello, challenge, proof))
        {
            return (HandshakeStatus.Refused, "it does not know the cluster secret");
        }

        return status is HandshakeStatus.Accepted or HandshakeStatus.NotNow
            ? (status, Encoding.UTF8.GetString(reason))
            : (HandshakeStatus.Refused, Encoding.UTF8.GetString(reason));
    }

    private static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[socket.Send(bytes)..];
    }

    private static void ReceiveAll(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var count = socket.Receive(bytes);
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            bytes = bytes[count..];
        }
    }
}
