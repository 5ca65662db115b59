using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using SpotServe.Actors.Execution;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// An accepted connection on its way to becoming a link: Hello, then Proof, then waiting to be expected. Never
/// blocks: it reads only what has arrived, and what it writes fits an empty send buffer. Guarded by its owner's lock.
/// </summary>
internal sealed class IncomingLink : IDisposable
{
    private readonly LinkCredentials _credentials;
    private readonly byte[] _hello = new byte[Handshake.HelloBytes];
    private readonly byte[] _challenge = new byte[Handshake.HelloBytes];
    private readonly byte[] _proof = new byte[Handshake.ProofBytes];
    private readonly EndPoint? _remote;
    private int _received;
    private State _state = State.Hello;

    public IncomingLink(Socket socket, LinkCredentials credentials, long deadline)
    {
        Socket = socket;
        Deadline = deadline;
        _credentials = credentials;
        _remote = socket.RemoteEndPoint;
        socket.NoDelay = true;
    }

    /// <summary>What reading led to.</summary>
    public enum Outcome
    {
        /// <summary>More must come.</summary>
        Waiting,

        /// <summary>The secret is proven and <see cref="Key"/> is known.</summary>
        Proven,

        /// <summary>Closed, garbage or disproven: to be disposed.</summary>
        Over,
    }

    private enum State
    {
        Hello,
        Proof,
        Proven,
    }

    public Socket Socket { get; }

    /// <summary>Timestamp by which the current state must have ended.</summary>
    public long Deadline { get; set; }

    public LinkKey Key { get; private set; }

    public bool IsProven => _state == State.Proven;

    /// <summary>Reads what has arrived. Called when the socket is readable.</summary>
    public Outcome Read()
    {
        try
        {
            // Readable with nothing there is the end of the stream; a dialler sends nothing before it is accepted.
            var available = Socket.Available;
            if (available == 0 || _state == State.Proven) return Outcome.Over;
            var into = (_state == State.Hello ? _hello : _proof).AsSpan(_received);
            _received += Socket.Receive(into[..Math.Min(available, into.Length)]);
            if (_received < (_state == State.Hello ? _hello : _proof).Length) return Outcome.Waiting;
            _received = 0;
            return _state == State.Hello ? OnHello() : OnProof();
        }
        catch (SocketException)
        {
            return Outcome.Over;
        }
    }

    /// <summary>Answers Accepted: it is to be opened then, by its new owner.</summary>
    /// <returns>False when the dialler has gone meanwhile.</returns>
    public bool Accept()
    {
        Invariant.Holds(IsProven);
        if (Key.Kind == LinkKind.Collective && TcpCollective.PrepareSocket(Socket) is { } problem)
        {
            Reply(HandshakeStatus.Refused, problem);
            return false;
        }

        return Reply(HandshakeStatus.Accepted, "");
    }

    /// <summary>Makes a link of an accepted connection; see <see cref="OpenAsync(CancellationToken)"/>.</summary>
    /// <param name="node">The peer's node, where it is known.</param>
    /// <exception cref="PeerLostException">The peer did not do its part in time.</exception>
    public async Task<SocketLink> OpenAsync(string peer, string? node, CancellationToken deadline)
    {
        var name = $"{peer} ({_remote})";
        try
        {
            return new SocketLink(await OpenAsync(deadline).ConfigureAwait(false), Key, name, node);
        }
        catch (Exception error) when (IsPeersFault(error))
        {
            Dispose();
            throw new PeerLostException(name, $"{Key} did not come up: {error.Message}", error)
            {
                Node = node,
                IsSilent = deadline.IsCancellationRequested,
            };
        }
    }

    /// <summary>Takes the socket of an accepted connection: at once where it stays unencrypted, else when TLS stands,
    /// for which a thread waits that is not the caller's.</summary>
    /// <param name="deadline">When cancelled, the connection is closed.</param>
    /// <exception cref="AuthenticationException">The peer is no member.</exception>
    /// <exception cref="SocketException">The connection broke.</exception>
    public Task<ProvenSocket> OpenAsync(CancellationToken deadline)
    {
        if (_credentials.Identity is not { } identity) return Task.FromResult(new ProvenSocket(Socket));
        return Task.Factory.StartNew(
            () =>
            {
                using var closing = deadline.Register(Socket.Dispose);
                return ProvenSocket.Encrypt(Socket, identity, isDialler: false);
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach,
            TaskScheduler.Default);
    }

    /// <summary>Whether what <see cref="OpenAsync(CancellationToken)"/> threw is of the peer's or the network's
    /// making.</summary>
    public static bool IsPeersFault(Exception error) =>
        error is SocketException or AuthenticationException or ObjectDisposedException;

    /// <summary>Answers why not and closes.</summary>
    public void Refuse(HandshakeStatus status, string reason)
    {
        Reply(status, reason);
        Dispose();
    }

    public void Dispose() => Socket.Dispose();

    private Outcome OnHello()
    {
        var version = Handshake.ReadHello(_hello);
        if (version is null) return Outcome.Over;
        Handshake.WriteHello(
            _challenge, RandomNumberGenerator.GetBytes(Handshake.NonceBytes), _credentials.IsEncrypted);
        Socket.Send(_challenge);
        _state = State.Proof;
        // The challenge tells a dialler of another version which one this is.
        return version == Handshake.Version ? Outcome.Waiting : Outcome.Over;
    }

    private Outcome OnProof()
    {
        if (!Handshake.IsProven(_proof, _credentials.Secret, _hello, _challenge))
        {
            Reply(HandshakeStatus.Refused, "the cluster secret differs");
            return Outcome.Over;
        }

        if (_credentials.Mismatch(_hello) is { } mismatch)
        {
            Reply(HandshakeStatus.Refused, mismatch);
            return Outcome.Over;
        }

        if (!LinkKey.TryRead(_proof, out var key))
        {
            Reply(HandshakeStatus.Refused, "the link's key names no link that can exist");
            return Outcome.Over;
        }

        Key = key;
        _state = State.Proven;
        return Outcome.Proven;
    }

    private bool Reply(HandshakeStatus status, string reason)
    {
        try
        {
            Span<byte> reply = stackalloc byte[Handshake.ReplyHeadBytes + Handshake.ReasonBytesMax];
            var length = Handshake.WriteReply(reply, status, reason, _credentials.Secret, _hello, _challenge, _proof);
            Socket.Send(reply[..length]);
            return true;
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
