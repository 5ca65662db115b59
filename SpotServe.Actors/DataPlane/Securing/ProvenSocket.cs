using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;

namespace SpotServe.Actors.DataPlane;

/// <summary>
/// A connected socket whose both ends have proven that they belong to the cluster; what it carries is in TLS where the
/// cluster wants that. One thread may send while another receives. Its calls block, and end with
/// <see cref="SocketException"/> or <see cref="ObjectDisposedException"/> whatever lies between caller and network.
/// </summary>
internal sealed class ProvenSocket : IDisposable
{
    /// <summary>Most plain text that is taken out of TLS at once by <see cref="ReceiveArrived"/>.</summary>
    private const int ArrivedBytes = 256;

    /// <summary>Sent by the side that was dialled, as the first that TLS protects: only with it does the dialler know
    /// that its certificate was taken, and that nothing of the handshake is left unread.</summary>
    private const byte Admitted = 0x53;

    private readonly WireStream? _wire;
    private readonly SslStream? _tls;
    private byte[]? _arrived;
    private int _arrivedBytes;
    private Task? _arriving;

    /// <summary>Takes over a socket on which the handshake is done; what it carries is not encrypted.</summary>
    public ProvenSocket(Socket socket) => Socket = socket;

    private ProvenSocket(Socket socket, WireStream wire, SslStream tls)
        : this(socket)
    {
        _wire = wire;
        _tls = tls;
    }

    /// <summary>For waiting on several at once, and for time limits; nobody else reads or writes it.</summary>
    public Socket Socket { get; }

    /// <summary>Begins TLS on a socket on which the handshake is done. Blocks until the peer has done its part, or the
    /// socket is closed.</summary>
    /// <param name="isDialler">Whether this process dialled.</param>
    /// <exception cref="AuthenticationException">The peer is no member; says why.</exception>
    /// <exception cref="SocketException">The connection broke, or the peer speaks no TLS.</exception>
    public static ProvenSocket Encrypt(Socket socket, ClusterIdentity identity, bool isDialler)
    {
        var isStranger = false;
        var wire = new WireStream(socket);
        var tls = new SslStream(wire);
        try
        {
            Span<byte> admitted = [Admitted];
            if (isDialler)
            {
                tls.AuthenticateAsClient(identity.ForDialler(() => isStranger = true));
                if (tls.Read(admitted) != 1 || admitted[0] != Admitted) throw Broken(null);
            }
            else
            {
                tls.AuthenticateAsServer(identity.ForListener(() => isStranger = true));
                tls.Write(admitted);
            }

            return new ProvenSocket(socket, wire, tls);
        }
        catch (AuthenticationException error) when (isStranger)
        {
            tls.Dispose();
            throw new AuthenticationException(
                $"it knows the cluster's secret, and does not prove that it has {identity.Means}", error);
        }
        catch (Exception error) when (IsTlsFault(error) || error is SocketException)
        {
            tls.Dispose();
            throw Broken(error);
        }
    }

    /// <exception cref="SocketException">The connection broke or the peer took too long.</exception>
    public void SendAll(ReadOnlySpan<byte> bytes)
    {
        if (_tls is null)
        {
            while (bytes.Length > 0) bytes = bytes[Socket.Send(bytes)..];
            return;
        }

        try
        {
            _tls.Write(bytes);
        }
        catch (Exception error) when (IsTlsFault(error))
        {
            throw Broken(error);
        }
    }

    /// <summary>Sends all or nothing that can be used: on a socket that does not block, a full buffer breaks the
    /// connection.</summary>
    /// <returns>False when it is broken.</returns>
    public bool TrySendAtOnce(ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (_tls is null) return Socket.Send(bytes) == bytes.Length;
            _tls.Write(bytes);
            return true;
        }
        catch (Exception error) when (IsTlsFault(error) || error is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    /// <returns>Bytes received, at least one; 0 at the end of the stream.</returns>
    /// <exception cref="SocketException">The connection broke or the peer took too long.</exception>
    public int Receive(Span<byte> into)
    {
        if (_tls is null) return Socket.Receive(into);
        try
        {
            return _tls.Read(into);
        }
        catch (Exception error) when (IsTlsFault(error))
        {
            throw Broken(error);
        }
    }

    /// <summary>Takes what has arrived, without blocking. To be called when the socket is readable; not beside
    /// <see cref="Receive"/>.</summary>
    /// <returns>Bytes received, 0 when none can be used yet; null at the end of the stream.</returns>
    /// <exception cref="SocketException">The connection broke.</exception>
    public int? ReceiveArrived(Span<byte> into)
    {
        if (Socket.Available == 0) return null;
        if (_tls is null) return Socket.Receive(into);
        try
        {
            _wire!.Feed();
        }
        catch (Exception error) when (IsTlsFault(error))
        {
            throw Broken(error);
        }

        return TakeDecrypted(_tls, into);
    }

    /// <summary>Takes what TLS read beside the end of its handshake, without blocking: the socket is not readable for
    /// it any more. To be called once, before <see cref="ReceiveArrived"/>.</summary>
    /// <returns>Bytes received, 0 when there are none.</returns>
    /// <exception cref="SocketException">The connection broke.</exception>
    public int ReceiveRead(Span<byte> into) => _tls is null ? 0 : TakeDecrypted(_tls, into) ?? 0;

    /// <summary>Closes at once, waking threads that block in a call of it: closing alone would wait for them.</summary>
    public void Abandon()
    {
        try
        {
            Socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // The peer or another thread was faster.
        }

        Dispose();
    }

    public void Dispose()
    {
        Socket.Dispose();
        _tls?.Dispose();
    }

    /// <returns>Bytes of all records that are there, 0 when none is whole; null at the end of the stream.</returns>
    private int? TakeDecrypted(SslStream tls, Span<byte> into)
    {
        _arrived ??= new byte[ArrivedBytes];
        try
        {
            var total = 0;
            while (into.Length - total >= ArrivedBytes)
            {
                // It stays pending until the whole of a record has been fed, however many calls that takes.
                _arriving ??= TakeArrivedAsync(tls);
                if (!_arriving.IsCompleted) break;
                if (_arriving.Exception is { } failure) throw Broken(failure.InnerException);
                _arriving = null;
                if (_arrivedBytes == 0) return null;
                _arrived.AsSpan(0, _arrivedBytes).CopyTo(into[total..]);
                total += _arrivedBytes;
            }

            return total;
        }
        catch (Exception error) when (IsTlsFault(error))
        {
            throw Broken(error);
        }
    }

    private async Task TakeArrivedAsync(SslStream tls) =>
        _arrivedBytes = await tls.ReadAsync(_arrived).ConfigureAwait(false);

    private static bool IsTlsFault(Exception error) => error is IOException or AuthenticationException
        or CryptographicException or InvalidOperationException and not ObjectDisposedException;

    private static SocketException Broken(Exception? error) => error?.InnerException as SocketException
        ?? error as SocketException
        ?? new SocketException(
            (int)SocketError.ConnectionReset, error is null ? "TLS ended before it began" : $"TLS: {error.Message}");
}
